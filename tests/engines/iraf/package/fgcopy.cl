procedure fgcopy (inimages, outimages)

string inimages  {prompt="Input image"}
string outimages {prompt="Output image"}
string rawpath   {"", prompt="Folder of the input"}
string failure   {"none", enum="none|status|quiet|half", prompt="How to fail"}
bool   fl_dq     {yes, prompt="Write DQ?"}
int    status    {0, prompt="Exit status"}

begin
    string l_in, l_out, l_fail, tmpimage, when
    bool l_dq

    l_in = rawpath // inimages
    l_out = outimages
    l_fail = failure
    l_dq = fl_dq
    status = 1

    print ("FGCOPY begin")
    date | scan (when)
    if (when == "") {
        print ("ERROR - FGCOPY: there is no date")
        bye
    }
    tmpimage = mktemp ("tmpfg") // ".fits"
    imcopy (l_in // "[SCI,1]", tmpimage, verbose-)
    if (l_fail == "status") {
        print ("ERROR - FGCOPY: the input image is not what it should be")
        bye
    }
    if (l_fail == "quiet") {
        status = 0
        bye
    }
    imcopy (l_in // "[0]", l_out // "[0,append]", verbose-)
    if (l_fail == "half")
        bye
    imarith (l_in // "[SCI,1]", "+", 1, l_out // "[SCI,1,append]", verbose-)
    if (l_dq)
        imarith (l_in // "[DQ,1]", "*", 1., l_out // "[DQ,1,append]",
            pixtype="real", verbose-)
    imdelete (tmpimage, verify-)
    print ("WARNING - FGCOPY: this is not the real thing")
    print ("FGCOPY done")
    status = 0
end
