# What R's haven reads of the files that our extracts are written as: one row a cell, then one a label.
library(haven)
args <- commandArgs(trailingOnly = TRUE)
folder <- args[1]
rows <- list()
say <- function(file, variable, kind, key, value) {
  rows[[length(rows) + 1]] <<- data.frame(file, variable, kind, key = as.character(key), value = as.character(value))
}
number <- function(x) ifelse(is.na(x), "", format(x, digits = 15, trim = TRUE, scientific = FALSE))
for (file in c("haven_extract.dta", "haven_extract.sav")) {
  path <- file.path(folder, file)
  is_stata <- endsWith(file, ".dta")
  data <- if (is_stata) read_dta(path) else read_sav(path, user_na = TRUE)
  for (name in names(data)) {
    x <- data[[name]]
    say(file, name, "label", "", attr(x, "label"))
    labels <- attr(x, "labels")
    for (k in seq_along(labels)) {
      code <- if (is.numeric(labels)) number(unclass(labels)[k]) else labels[k]
      if (is.na(labels[k])) code <- paste0(".", na_tag(labels[k]))
      say(file, name, "value label", code, names(labels)[k])
    }
    if (!is.null(attr(x, "na_range"))) say(file, name, "missing range", "", paste(number(attr(x, "na_range")), collapse = " to "))
    if (!is.null(attr(x, "na_values"))) say(file, name, "missing values", "", paste(number(attr(x, "na_values")), collapse = " "))
    for (i in seq_along(x)) {
      value <- if (is.character(x)) unclass(x)[i] else number(unclass(x)[i])
      if (is_stata && is.numeric(x) && is.na(x[i]) && !is.na(na_tag(x[i]))) value <- paste0(".", na_tag(x[i]))
      say(file, name, "cell", i, ifelse(is.na(value), "", value))
    }
  }
}
write.csv(do.call(rbind, rows), file.path(folder, "oracle_extract_haven.csv"), row.names = FALSE, fileEncoding = "UTF-8")
