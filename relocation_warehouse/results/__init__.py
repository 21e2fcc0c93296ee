"""Result tables of the contract, made from harmonised tables, the catalog and the pure functions of `analysis`."""
