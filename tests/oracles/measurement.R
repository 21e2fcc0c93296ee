# Reference figures of confirmatory factor analysis: R's lavaan, and psych for the ordered items.
# Usage: Rscript measurement.R <folder of tests/reference>. Data: HolzingerSwineford1939 of lavaan, bfi of psych.
suppressPackageStartupMessages({library(lavaan)})
folder <- commandArgs(trailingOnly = TRUE)[1]
schools <- HolzingerSwineford1939[, c("school", paste0("x", 1:9))]
write.csv(schools, file.path(folder, "oracle_schools.csv"), row.names = FALSE, quote = FALSE)

out <- data.frame(case = character(), quantity = character(), value = character())
add <- function(case, ...) {
  values <- list(...)
  for (name in names(values))
    out <<- rbind(out, data.frame(case, quantity = name, value = sprintf("%.12g", as.numeric(values[[name]]))))
}
tight <- list(rel.tol = 1e-10)
equal <- list(configural = "none", metric = "loadings", scalar = c("loadings", "intercepts"),
              strict = c("loadings", "intercepts", "residuals"))

model <- "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9"
for (level in names(equal)) {
  fit <- cfa(model, schools, group = "school", std.lv = TRUE, group.equal = equal[[level]], control = tight)
  case <- paste("schools", level)
  found <- fitMeasures(fit, c("chisq", "df", "pvalue", "cfi", "tli", "rmsea"))
  add(case, chi2 = found[1], df = found[2], p = found[3], cfi = found[4], tli = found[5], rmsea = found[6])
  second <- lavInspect(fit, "est")[[2]]
  add(case, loading = second$lambda[second$lambda != 0], intercept = second$nu, residual = diag(second$theta))
  add(case, mean = second$alpha, covariance = second$psi)
  if (level %in% c("scalar", "strict")) add(case, mean_se = lavInspect(fit, "se")[[2]]$alpha)
  if (level %in% c("metric", "scalar")) {
    tests <- lavTestScore(fit)$uni
    add(case, score_test = tests$X2)
  }
}
one <- cfa("f =~ x1 + x2 + x3 + x4", schools, std.lv = TRUE, control = tight)
est <- lavInspect(one, "est")
add("omega", one = sum(est$lambda)^2 / (sum(est$lambda)^2 + sum(est$theta)))
all <- lavInspect(cfa(model, schools, std.lv = TRUE, control = tight), "est")
implied <- all$lambda %*% all$psi %*% t(all$lambda)
add("omega", total = sum(implied) / sum(implied + all$theta))

items <- c(paste0("A", 1:5), paste0("C", 1:5))
answers <- psych::bfi[complete.cases(psych::bfi[, items]), ]
stages <- lavCor(answers[, items], ordered = items, output = "fit", se = "none")
add("bfi", polychoric = lavInspect(stages, "sampstat")$cov[lower.tri(diag(10))])
add("bfi", threshold = lavInspect(stages, "sampstat")$th)
add("bfi", psych = psych::polychoric(answers[, items], correct = 0, smooth = FALSE)$rho[lower.tri(diag(10))])
model <- "A =~ A1 + A2 + A3 + A4 + A5\nC =~ C1 + C2 + C3 + C4 + C5"
kept <- c("chisq", "chisq.scaled", "df", "pvalue.scaled", "cfi.scaled", "tli.scaled", "rmsea.scaled")
named <- function(case, found) add(case, unadjusted = found[1], chi2 = found[2], df = found[3], p = found[4],
                                   cfi = found[5], tli = found[6], rmsea = found[7])
fit <- cfa(model, answers, ordered = items, std.lv = TRUE, estimator = "WLSMV", control = tight)
named("bfi one group", fitMeasures(fit, kept))
gamma <- lavInspect(fit, "gamma")
add("bfi one group", covariance_of_statistics = diag(gamma))
add("bfi one group", loading = lavInspect(fit, "est")$lambda[lavInspect(fit, "est")$lambda != 0])
for (level in c("configural", "metric", "scalar")) {
  constraint <- c(configural = "none", metric = "loadings", scalar = "loadings,thresholds")[[level]]
  fit <- cfa(model, answers, ordered = items, std.lv = TRUE, estimator = "WLSMV", group = "gender",
             group.label = c("1", "2"), group.equal = strsplit(constraint, ",")[[1]], control = tight)
  case <- paste("bfi", level)
  named(case, fitMeasures(fit, kept))
  second <- lavInspect(fit, "est")[[2]]
  add(case, loading = second$lambda[second$lambda != 0], mean = second$alpha, covariance = second$psi)
}
write.csv(out, file.path(folder, "oracle_measurement_r.csv"), row.names = FALSE, quote = FALSE)
