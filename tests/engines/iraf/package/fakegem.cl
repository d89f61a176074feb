# A package that behaves as those of Gemini do.
package fakegem

task fgcopy = "fakegem$fgcopy.cl"
task fgtry = "fakegem$fgtry.cl"
task fglist = "fakegem$fglist.cl"
task fgpars = "fakegem$fgpars.par"

clbye()
