procedure fglist (inimages)

string inimages {prompt="Input images"}
pset   fgpars   {prompt="More parameters"}
int    status   {1, prompt="Exit status"}

begin
    string l_in
    l_in = inimages
    print ("FGLIST " // l_in)
    print ("LEVEL ", fgpars.level, " ", fgpars.word)
    status = 0
end
