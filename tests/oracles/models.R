# Reference figures of models with bounds and of panels. Usage: Rscript models.R <folder of tests/reference>.
# Data: api (survey), housing (MASS: ordered answers of tenants), MortalityRates (clubSandwich: states in two years).
suppressPackageStartupMessages({library(survey); library(clubSandwich); library(MASS); library(sandwich)})
folder <- commandArgs(trailingOnly = TRUE)[1]
data(api)
out <- data.frame(case = character(), quantity = character(), row = character(), value = character())
add <- function(case, quantity, values, rows = seq_along(values))
  out <<- rbind(out, data.frame(case, quantity, row = rows, value = sprintf("%.15g", as.numeric(values))))

# CR2 of a model by iterated weighted least squares is that of its last step, where rows are multiplied by the root of their
# weight. clubSandwich takes another root of the same matrices for a glm, so that its errors of the glm itself differ a little
# (quantity se_of_glm).
last_step <- function(fit, cluster) {
  w <- sqrt(fit$weights)
  x <- model.matrix(fit) * w
  colnames(x) <- names(coef(fit))
  z <- (fit$linear.predictors + residuals(fit, "working")) * w
  step <- lm(z ~ 0 + x)
  list(test = coef_test(step, vcov = "CR2", cluster = cluster, test = "Satterthwaite"),
       v = unclass(vcovCR(step, cluster = cluster, type = "CR2")))
}

# Fractional logit, one stage of districts: share of pupils on free meals.
one <- apiclus1
one$y <- one$meals / 100
one$big <- as.numeric(one$enroll > 500)
write.csv(one[, c("dnum", "y", "ell", "big", "stype", "awards", "avg.ed")], file.path(folder, "oracle_limited.csv"), row.names = FALSE, quote = FALSE)
fit <- glm(y ~ ell + big + stype, family = quasibinomial, data = one, control = list(epsilon = 1e-14))
add("fractional", "se_of_glm", coef_test(fit, vcov = "CR2", cluster = one$dnum)$SE, names(coef(fit)))
step <- last_step(fit, one$dnum)
test <- step$test
add("fractional", "b", test$beta, names(coef(fit)))
add("fractional", "se", test$SE, names(coef(fit)))
add("fractional", "df", test$df_Satt, names(coef(fit)))
add("fractional", "p", test$p_Satt, names(coef(fit)))
link <- predict(fit); f <- dlogis(link)
add("fractional", "ame", mean(f) * coef(fit)["ell"], "ell")
v <- step$v
x <- model.matrix(fit)
gradient <- colMeans(f * (1 - 2 * plogis(link)) * x) * coef(fit)["ell"]
gradient["ell"] <- gradient["ell"] + mean(f)
add("fractional", "ame_se", sqrt(drop(gradient %*% v %*% gradient)), "ell")
change <- function(name, set) {
  high <- low <- x
  high[, set] <- 0; low[, set] <- 0; high[, name] <- 1
  grad <- colMeans(dlogis(drop(high %*% coef(fit))) * high - dlogis(drop(low %*% coef(fit))) * low)
  add("fractional", "ame", mean(plogis(high %*% coef(fit)) - plogis(low %*% coef(fit))), name)
  add("fractional", "ame_se", sqrt(drop(grad %*% v %*% grad)), name)
}
change("big", "big"); change("stypeH", c("stypeH", "stypeM")); change("stypeM", c("stypeH", "stypeM"))

# Yes or no.
one$won <- as.numeric(one$awards == "Yes")
fit <- glm(won ~ ell + big, family = binomial, data = one, control = list(epsilon = 1e-14))
test <- last_step(fit, one$dnum)$test
add("binary", "b", test$beta, names(coef(fit)))
add("binary", "se", test$SE, names(coef(fit)))
add("binary", "df", test$df_Satt, names(coef(fit)))

# Ordered: satisfaction of tenants, one row a tenant; the cluster is the type of housing and the influence.
tenants <- housing[rep(seq_len(nrow(housing)), housing$Freq), ]
tenants$cluster <- paste(tenants$Type, tenants$Infl)
tenants$high <- as.numeric(tenants$Cont == "High")
tenants$influence <- as.numeric(tenants$Infl)
tenants$answer <- as.numeric(tenants$Sat)
write.csv(tenants[, c("answer", "high", "influence", "cluster")], file.path(folder, "oracle_ordered.csv"), row.names = FALSE, quote = FALSE)
fit <- polr(Sat ~ high + influence, data = tenants, Hess = TRUE, control = list(reltol = 1e-15))
add("ordered", "b", coef(fit), names(coef(fit)))
add("ordered", "threshold", fit$zeta, names(fit$zeta))
p <- fit$fitted.values
add("ordered", "deviance", fit$deviance, "")
cr1 <- vcovCL(fit, cluster = tenants$cluster, type = "HC0", cadjust = FALSE)
add("ordered", "se_cr0", sqrt(diag(cr1)), rownames(cr1))
cut <- function(eta) sapply(seq_len(3), function(k) dlogis(c(-Inf, fit$zeta, Inf)[k + 1] - eta) - dlogis(c(-Inf, fit$zeta, Inf)[k] - eta))
eta <- drop(cbind(tenants$high, tenants$influence) %*% coef(fit))
add("ordered", "ame_influence", -coef(fit)["influence"] * colMeans(cut(eta)))
prob <- function(eta) sapply(seq_len(3), function(k) plogis(c(-Inf, fit$zeta, Inf)[k + 1] - eta) - plogis(c(-Inf, fit$zeta, Inf)[k] - eta))
rest <- coef(fit)["influence"] * tenants$influence
add("ordered", "ame_high", colMeans(prob(rest + coef(fit)["high"])) - colMeans(prob(rest)))

# Panel: deaths on roads by state and year (clubSandwich); two years, a dummy for each state, clusters of states.
data(MortalityRates)
roads <- subset(MortalityRates, cause == "Motor Vehicle" & year %in% c(1970, 1980) & !is.na(mrate) & !is.na(legal) & !is.na(beertaxa))
roads <- roads[roads$state %in% names(which(table(roads$state) == 2)), ]
roads$cluster <- roads$state %% 9
write.csv(roads[, c("state", "year", "mrate", "legal", "beertaxa", "cluster")], file.path(folder, "oracle_panel.csv"), row.names = FALSE, quote = FALSE)
full <- lm(mrate ~ factor(year) + legal + beertaxa + factor(state), data = roads)
test <- coef_test(full, vcov = "CR2", cluster = roads$cluster, test = "Satterthwaite", coefs = 2:4)
add("panel", "b", test$beta, c("wave", "legal", "beertaxa"))
add("panel", "se", test$SE, c("wave", "legal", "beertaxa"))
add("panel", "df", test$df_Satt, c("wave", "legal", "beertaxa"))
write.csv(out, file.path(folder, "oracle_models_r.csv"), row.names = FALSE, quote = FALSE)
