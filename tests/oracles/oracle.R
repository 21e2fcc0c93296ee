# Reference figures from base R alone. Usage: Rscript oracle.R <items.csv> <out.csv>
# items.csv: complete rows; the last two columns are `y` and `cluster`, the others are items.
arguments <- commandArgs(trailingOnly = TRUE)
data <- read.csv(arguments[1])
items <- as.matrix(data[, setdiff(names(data), c("y", "cluster"))])
n <- nrow(items)
p <- ncol(items)
out <- data.frame(quantity = character(), row = character(), column = character(), value = character())
add <- function(quantity, value, row = "", column = "") {
  out <<- rbind(out, data.frame(quantity, row, column, value = sprintf("%.15g", value)))
}

# Adequacy: Kaiser 1974; Bartlett 1950.
r <- cor(items)
inverse <- solve(r)
partial <- -cov2cor(inverse)
off <- row(r) != col(r)
add("kmo", sum(r[off]^2) / (sum(r[off]^2) + sum(partial[off]^2)))
for (k in 1:p) {
  others <- setdiff(1:p, k)
  add("msa", sum(r[k, others]^2) / (sum(r[k, others]^2) + sum(partial[k, others]^2)), colnames(items)[k])
}
add("bartlett", -(n - 1 - (2 * p + 5) / 6) * log(det(r)))

# Principal components, then varimax with Kaiser normalisation, iterated far beyond R's default.
spectrum <- eigen(r, symmetric = TRUE)
kept <- 4
for (k in 1:p) add("eigenvalue", spectrum$values[k], k)
loadings <- spectrum$vectors[, 1:kept] %*% diag(sqrt(spectrum$values[1:kept]))
rotated <- unclass(varimax(loadings, normalize = TRUE, eps = 1e-14)$loadings)
# Descending sums of squares, positive column sums.
rotated <- rotated[, order(-colSums(rotated^2))]
rotated <- sweep(rotated, 2, sign(colSums(rotated)), "*")
for (i in 1:p) for (k in 1:kept) add("loading", rotated[i, k], colnames(items)[i], k)

# Reliability.
covariance <- cov(items)
add("alpha", p / (p - 1) * (1 - sum(diag(covariance)) / sum(covariance)))
mean_r <- mean(r[off])
add("alpha_standardised", p * mean_r / (1 + (p - 1) * mean_r))

# Least squares on the first four items, with the sandwich covariances written out.
x <- cbind(constant = 1, items[, 1:4])
k <- ncol(x)
fit <- lm.fit(x, data$y)
e <- fit$residuals
bread <- solve(crossprod(x))
hat <- rowSums((x %*% bread) * x)
sandwich <- function(scores) bread %*% crossprod(scores) %*% bread
covariances <- list(
  classical = bread * sum(e^2) / (n - k),
  hc1 = sandwich(x * e) * n / (n - k),
  hc3 = sandwich(x * e / (1 - hat))
)
groups <- split(seq_len(n), data$cluster)
g <- length(groups)
sums <- t(sapply(groups, function(rows) colSums(x[rows, , drop = FALSE] * e[rows])))
covariances$cr1 <- sandwich(sums) * g / (g - 1) * (n - 1) / (n - k)
# CR2 (Bell and McCaffrey 2002): A_g = (I - H_gg)^(-1/2); p_g = (I-H)' A_g X_g M e_j gives the Satterthwaite df.
root <- function(m) {
  s <- eigen(m, symmetric = TRUE)
  s$vectors %*% (t(s$vectors) / sqrt(s$values))
}
adjust <- lapply(groups, function(rows) {
  own <- x[rows, , drop = FALSE]
  root(diag(length(rows)) - own %*% bread %*% t(own))
})
adjusted <- t(mapply(function(rows, a) colSums((a %*% x[rows, , drop = FALSE]) * e[rows]), groups, adjust))
covariances$cr2 <- sandwich(adjusted)
annihilator <- diag(n) - x %*% bread %*% t(x)
for (j in 1:k) {
  vectors <- mapply(function(rows, a) {
    annihilator[, rows] %*% (a %*% x[rows, , drop = FALSE] %*% bread[, j])
  }, groups, adjust)
  gram <- crossprod(vectors)
  add("df_cr2", sum(diag(gram))^2 / sum(gram^2), colnames(x)[j])
}
for (j in 1:k) {
  add("b", fit$coefficients[j], colnames(x)[j])
  for (kind in names(covariances)) add("se", sqrt(covariances[[kind]][j, j]), colnames(x)[j], kind)
}
write.csv(out, arguments[2], row.names = FALSE, quote = FALSE)
