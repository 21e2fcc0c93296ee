# Reference figures of design-based inference: R's survey, clubSandwich, metafor and car.
# Usage: Rscript design.R <folder of tests/reference>. Data: the Academic Performance Index samples of the survey package.
suppressPackageStartupMessages({library(survey); library(clubSandwich); library(metafor); library(car)})
folder <- commandArgs(trailingOnly = TRUE)[1]
data(api)
columns <- c("dnum", "snum", "stype", "pw", "api00", "meals", "ell", "sch.wide", "enroll")
keep <- function(data, name, more) {
  kept <- data[, c(columns, more)]
  write.csv(kept, file.path(folder, paste0("oracle_api_", name, ".csv")), row.names = FALSE, quote = FALSE)
  kept
}
stratified <- keep(apistrat, "strat", "fpc")
one_stage <- keep(apiclus1, "clus1", "fpc")
two_stage <- keep(apiclus2, "clus2", c("fpc1", "fpc2"))

out <- data.frame(case = character(), quantity = character(), value = character())
add <- function(case, ...) {
  values <- list(...)
  for (name in names(values))
    out <<- rbind(out, data.frame(case, quantity = name, value = sprintf("%.15g", as.numeric(values[[name]]))))
}
mean_of <- function(case, formula, design, deff = FALSE) {
  found <- svymean(formula, design, deff = if (deff) "replace" else FALSE, na.rm = TRUE)
  df <- degf(design)
  interval <- confint(found, df = df)
  add(case, mean = coef(found), se = SE(found), df = df, ci_low = interval[1], ci_high = interval[2])
  if (deff) add(case, deff = deff(found))
}
strat <- svydesign(id = ~1, strata = ~stype, weights = ~pw, fpc = ~fpc, data = stratified)
mean_of("stratified", ~api00, strat)
clus1 <- svydesign(id = ~dnum, weights = ~pw, fpc = ~fpc, data = one_stage)
mean_of("one stage", ~api00, clus1)
mean_of("one stage without fpc", ~api00, svydesign(id = ~dnum, weights = ~pw, data = one_stage), TRUE)
mean_of("domain", ~api00, subset(clus1, stype == "H"))
mean_of("domain in strata", ~api00, subset(strat, sch.wide == "No" & stype != "M"))
zero <- one_stage
zero$pw[zero$dnum == zero$dnum[1]] <- 0
mean_of("zero weights", ~api00, svydesign(id = ~dnum, weights = ~pw, data = zero))
clus2 <- svydesign(id = ~dnum + snum, weights = ~pw, fpc = ~fpc1 + fpc2, data = two_stage)
mean_of("two stages", ~api00, subset(clus2, !is.na(api00)))
mean_of("two stages of a domain", ~api00, subset(clus2, stype == "E"))

alone <- one_stage[order(one_stage$dnum), ]
alone$stratum <- ifelse(alone$dnum == alone$dnum[1], 1, ifelse(alone$dnum < 500, 2, 3))
for (policy in c("adjust", "certainty", "average")) {
  options(survey.lonely.psu = policy)
  mean_of(paste("lonely", policy), ~api00,
          svydesign(id = ~dnum, strata = ~stratum, weights = ~pw, data = alone))
}
options(survey.lonely.psu = "fail")
share <- svyciprop(~I(sch.wide == "Yes"), clus1, method = "logit")
add("share", mean = as.vector(share), ci_low = confint(share)[1], ci_high = confint(share)[2])

# CR2 with Satterthwaite degrees of freedom, and joint tests (AHT).
nothing <- lm(api00 ~ 1, data = one_stage)
found <- coef_test(nothing, vcov = "CR2", cluster = one_stage$dnum, test = "Satterthwaite")
add("mean of units", mean = found$beta, se = found$SE, df = found$df_Satt)
add("mean of units", p = coef_test(lm(api00 - 600 ~ 1, data = one_stage), vcov = "CR2", cluster = one_stage$dnum)$p_Satt)
one_stage$region <- ifelse(one_stage$dnum < 500, "a", "b")
two <- lm(api00 ~ region, data = one_stage)
found <- coef_test(two, vcov = "CR2", cluster = one_stage$dnum)
add("difference of units", estimate = -found$beta[2], se = found$SE[2], df = found$df_Satt[2], p = found$p_Satt[2])
full <- lm(api00 ~ region * (meals + ell), data = one_stage)
covariance <- vcovCR(full, cluster = one_stage$dnum, type = "CR2")
joint <- function(case, terms) {
  test <- Wald_test(full, constraints = constrain_zero(terms), vcov = covariance, test = "HTZ")
  add(case, f = test$Fstat, df = test$df_denom, p = test$p_val)
}
joint("one slope", "regionb:meals")
joint("both slopes", c("regionb:meals", "regionb:ell"))
joint("all coefficients", c("regionb", "regionb:meals", "regionb:ell"))
one <- lm(api00 ~ meals + ell, data = one_stage)
test <- Wald_test(one, constraints = constrain_zero(2:3), vcov = vcovCR(one, cluster = one_stage$dnum, type = "CR2"), test = "HTZ")
add("own slopes", f = test$Fstat, df = test$df_denom, p = test$p_val)

# Random effects.
pool <- function(case, y, s, test = "z") {
  found <- rma(yi = y, sei = s, method = "DL", test = test, control = list(tol = 1e-15))
  add(case, estimate = found$beta, se = found$se, tau2 = found$tau2, q = found$QE, i2 = found$I2 / 100, p = found$pval)
}
pool("pooled", c(.3, .9, -.3, .5), c(.1, .2, .15, .3))
pool("pooled hksj", c(.3, .9, -.3, .5), c(.1, .2, .15, .3), "adhoc")
pool("pooled one precise", c(.3, .9, -.3), c(1e-4, .1, .1))
pool("pooled identical", c(.4, .4, .4), c(.1, .2, .3), "adhoc")

# Variance inflation of a category.
found <- vif(lm(api00 ~ meals + ell + stype, data = one_stage))
for (name in rownames(found)) add("gvif", value = found[name, 3])
write.csv(out, file.path(folder, "oracle_design_r.csv"), row.names = FALSE, quote = FALSE)
