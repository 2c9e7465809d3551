"""Black–Scholes: the price of a European call option, written once in SymPy.

The formula is that of F. Black and M. Scholes, "The Pricing of Options and Corporate Liabilities", Journal of Political
Economy 81 (1973), equation 13. Traders know its first derivatives as delta, vega, theta and rho, its second derivatives
as gamma, vanna, volga, …; here they are the gradient and the Hessian.
"""

from __future__ import annotations

import numpy as np
import sympy as sp
from numpy.typing import NDArray

import hybrid as hy

# Price of the asset, strike, years to expiry, interest rate per year, volatility per square root of a year.
S, K, T, r, sigma = hy.symbols("S K T r sigma", positive=True)


def normal(x: sp.Expr) -> sp.Expr:
    """The cumulative normal distribution."""
    return (1 + sp.erf(x / sp.sqrt(2))) / 2


d1 = (sp.log(S / K) + (r + sigma**2 / 2) * T) / (sigma * sp.sqrt(T))
d2 = d1 - sigma * sp.sqrt(T)

call = hy.Function([S, K, T, r, sigma], S * normal(d1) - K * sp.exp(-r * T) * normal(d2), name="call")


def contracts(count: int, seed: int = 1973) -> tuple[NDArray[np.float64], ...]:
    """A book of `count` contracts, the same for the same seed: five arrays S, K, T, r, sigma of shape (count,).

    Assets around 100, strikes from 60 % to 140 % of the asset, one week to three years, 0.5 % to 6 %, 8 % to 60 %.
    """
    random = np.random.default_rng(seed)
    asset = 100 * np.exp(0.3 * random.standard_normal(count))
    strike = asset * random.uniform(0.6, 1.4, count)
    years = random.uniform(7 / 365, 3.0, count)
    return asset, strike, years, random.uniform(0.005, 0.06, count), random.uniform(0.08, 0.6, count)


if __name__ == "__main__":
    kernel = hy.compile(call, call.gradient(), call.hessian())
    price, greeks, second = kernel(*contracts(1_000_000))
    print(kernel.certificate)
    print(f"price {price.shape}, first derivatives {greeks.shape}, second derivatives {second.shape}")
