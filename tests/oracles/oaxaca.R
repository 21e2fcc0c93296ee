# Reference figures of the decomposition of a gap. Usage: Rscript oaxaca.R <folder of tests/reference>.
# The package oaxaca (CRAN, not in Debian) on the schools of oracle_limited.csv: elementary ones (a) against the others (b).
suppressPackageStartupMessages(library(oaxaca))
folder <- commandArgs(trailingOnly = TRUE)[1]
schools <- na.omit(read.csv(file.path(folder, "oracle_limited.csv"))[, c("y", "ell", "avg.ed", "stype")])
schools$other <- schools$stype != "E"
set.seed(1)
found <- suppressMessages(oaxaca(y ~ ell + avg.ed | other, data = schools, R = 4000))
out <- data.frame(quantity = character(), row = character(), value = character())
add <- function(quantity, values, rows = "")
  out <<- rbind(out, data.frame(quantity, row = rows, value = sprintf("%.15g", as.numeric(values))))
three <- found$threefold$overall
for (part in c("endowments", "coefficients", "interaction")) {
  add(part, three[paste0("coef(", part, ")")])
  # of resampled schools, which agree with first-order errors to a few percent
  add(paste0(part, "_se"), three[paste0("se(", part, ")")])
}
add("gap", found$y$y.diff)
# -2: coefficients of both groups together, with an indicator of the group
two <- found$twofold
chosen <- two$overall[two$overall[, "group.weight"] == -2, ]
add("explained", chosen["coef(explained)"])
add("unexplained", chosen["coef(unexplained)"])
number <- which(two$overall[, "group.weight"] == -2)
detail <- two$variables[[number]]
add("explained_by_term", detail[c("ell", "avg.ed"), "coef(explained)"], c("ell", "avg.ed"))
write.csv(out, file.path(folder, "oracle_oaxaca_r.csv"), row.names = FALSE, quote = FALSE)
