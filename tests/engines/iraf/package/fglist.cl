procedure fglist (inimages)

string inimages {prompt="Input images"}
int    status   {1, prompt="Exit status"}

begin
    string l_in
    l_in = inimages
    print ("FGLIST " // l_in)
    status = 0
end
