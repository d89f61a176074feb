procedure fgtry (inimages, outimages)

string inimages  {prompt="Input image"}
string outimages {prompt="Output image"}
string how       {"copy", enum="copy|keywords|own|ask|extra|empty", prompt="What"}
bool   fl_vardq  {no, prompt="Variance and flags?"}
bool   fl_inter  {no, prompt="Interactive?"}
int    status    {0, prompt="Exit status"}

begin
    string l_in, l_out, l_how, word

    l_in = inimages
    l_out = outimages
    l_how = how
    status = 0
    if (l_how == "empty") {
        imcopy (l_in // "[0]", l_out // "[0,append]", verbose-)
        bye
    }
    copy (l_in, l_out, verbose-)
    if (l_how == "keywords") {
        hedit (l_out // "[0]", "DISPAXIS", 1, add+, verify-, show-, update+)
        hedit (l_out // "[SCI,1]", "DISPAXIS", 1, add+, verify-, show-, update+)
        hedit (l_out // "[0]", "GAIN", 1., add+, verify-, show-, update+)
        hedit (l_out // "[SCI,1]", "GAIN", 1., add+, verify-, show-, update+)
        hedit (l_out // "[SCI,1]", "EXPTIME", 5., add+, verify-, show-, update+)
    }
    if (l_how == "own") {
        print ("b 2", > "tmpfg.txt")
        print ("a 1", >> "tmpfg.txt")
        head ("tmpfg.txt", nlines=1)
        tail ("tmpfg.txt", nlines=1)
        sort ("tmpfg.txt", column=2, numeric_sort+)
        touch ("tmpfg.txt", verbose-)
        delete ("tmpfg.txt", verify-)
    }
    if (l_how == "ask")
        print ("DISPAXIS ", longslit.dispaxis)
    if (l_how == "extra") {
        print ("4000. 5.", > "found.txt")
        print ("what was done", > "fgtry.log")
        copy (l_in, "second.fits", verbose-)
    }
    print ("SWITCHES ", fl_vardq, " ", fl_inter)
end
