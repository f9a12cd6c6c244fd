"""The normal equations of penalised least squares: scaled moments, and two ways to solve them for many penalties.

A Cholesky factorisation solves for one penalty and any set of features, and shows whether columns are dependent. An
eigendecomposition solves for every penalty; to leave features out of it takes a system with one equation for each of
them. It loses digits where eigenvalues are small, so its users check the residual.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg
from scipy.linalg import lapack

if TYPE_CHECKING:
    from purchasecast.numerics.gram import Floats, Gram, Integers

    Flags = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

__all__ = ["DEPENDENT", "Problem", "Spectrum", "solve_spd"]

_EPS = float(np.finfo(float).eps)
_CONSTANT = 64 * _EPS  # a standard deviation below this share of the mean is rounding: the column is constant
DEPENDENT = 1e-12  # squared Cholesky pivots (of a unit diagonal) and eigenvalue ratios below this: dependent columns
_SHARP = 1e-9  # smallest eigenvalue ratio at which a solution from a spectrum keeps enough digits
_BLOCK = 1 << 22  # numbers in memory at a time for the features that are left out


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Eigenvalues of the features' moments in ascending order, and eigenvectors in columns."""

    values: Floats
    vectors: Floats

    @classmethod
    def of(cls, moments: Floats) -> Spectrum:
        """Return the spectrum of a symmetric matrix; it takes about 25 times as long as a Cholesky factorisation."""
        return cls(*linalg.eigh(moments, check_finite=False, driver="evd"))

    def is_sharp(self, penalties: Floats) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Return at which L2 penalties a solution from the spectrum keeps enough digits."""
        sharp: np.ndarray[tuple[int], np.dtype[np.bool_]] = self.values[0] + penalties >= _SHARP * self.values[-1]
        return sharp

    def solve(self, penalties: Floats, wanted: Floats, left_out: Flags) -> Floats:
        """Solve (moments + penalty I) x = wanted with the entries of some features fixed at 0.

        Parameters
        ----------
        penalties : ndarray of shape (m,)
            L2 penalties.
        wanted : ndarray of shape (m, k)
            Right-hand sides, one row a penalty.
        left_out : ndarray of bool of shape (m, k)
            Features whose entry is 0 and whose equation does not have to hold, one row a penalty.

        Returns
        -------
        ndarray of shape (m, k)
            Solutions, one row a penalty.
        """
        damping = 1.0 / (self.values + penalties[:, None])
        rotated = (wanted @ self.vectors) * damping
        counts = left_out.sum(axis=1)
        block = max(1, _BLOCK // max(int(counts.max(initial=0)) * len(self.values), 1))
        for start in range(0, len(counts), block):
            part = slice(start, start + block)
            rotated[part] -= self._correction(rotated[part], damping[part], left_out[part], counts[part])
        solutions: Floats = np.where(left_out, 0.0, rotated @ self.vectors.T)
        return solutions

    def _correction(self, rotated: Floats, damping: Floats, left_out: Flags, counts: Integers) -> Floats:
        """Return, in eigenvector coordinates, the correction that sets the entries of left-out features to 0."""
        width = int(counts.max(initial=0))
        # Rows that leave out fewer features are padded with others, whose multiplier is 0.
        features = np.argsort(~left_out, axis=1, kind="stable")[:, :width]
        real = np.arange(width) < counts[:, None]
        axes = self.vectors[features] * real[:, :, None]
        damped = axes * damping[:, None, :]
        systems = damped @ axes.transpose(0, 2, 1)
        systems[:, np.arange(width), np.arange(width)] += ~real
        multipliers = np.linalg.solve(systems, axes @ rotated[:, :, None])
        correction: Floats = (multipliers.transpose(0, 2, 1) @ damped)[:, 0, :]
        return correction


@dataclass(frozen=True, slots=True)
class Problem:
    """A least-squares problem in units in which the penalty is the same for all features.

    Attributes
    ----------
    moments : ndarray of shape (k, k)
        Second moments of the features that vary.
    target : ndarray of shape (k,)
        Moments of these features with the label.
    yy : float
        Second moment of the label.
    used : ndarray of int of shape (k,)
        Positions of the features that vary.
    unit : ndarray of shape (k,)
        Divisor of each feature.
    label_scale : float
        Divisor of the label; 0 for a label that is constant.
    centre : ndarray of shape (d + 1,)
        Means that were subtracted first; zeros without an intercept.
    workspace : ndarray of shape (2, k * k)
        Memory in which systems are built and factorised: to allocate it for each costs more than to factorise.
    spectrum : Spectrum or None
        Spectrum of `moments`; None where few solutions are needed.
    """

    moments: Floats
    target: Floats
    yy: float
    used: Integers
    unit: Floats
    label_scale: float
    centre: Floats
    workspace: Floats
    spectrum: Spectrum | None

    @property
    def norms(self) -> Floats:
        """Return the largest possible moment of each feature with the label."""
        norms: Floats = np.sqrt(np.diagonal(self.moments) * self.yy)
        return norms

    @classmethod
    def of(cls, gram: Gram, *, fit_intercept: bool, standardization: bool, decompose: bool) -> Problem:
        """Return the problem of some training rows; a constant feature does not take part."""
        moments = gram.comoments / gram.weight
        deviation = np.sqrt(np.maximum(np.diagonal(moments), 0.0))
        deviation[deviation <= _CONSTANT * np.abs(gram.mean)] = 0.0
        label_scale, used = float(deviation[-1]), np.flatnonzero(deviation[:-1])
        centre = gram.mean if fit_intercept else np.zeros_like(gram.mean)
        if not fit_intercept:
            moments = moments + np.outer(gram.mean, gram.mean)
            label_scale = label_scale or abs(float(gram.mean[-1]))
        unit = deviation[used] if standardization else np.ones(len(used))
        divisor = label_scale or 1.0
        inner = np.ascontiguousarray(moments[np.ix_(used, used)] / np.outer(unit, unit))
        return cls(
            moments=inner,
            target=moments[used, -1] / (unit * divisor),
            yy=float(moments[-1, -1]) / divisor**2,
            used=used,
            unit=unit,
            label_scale=label_scale,
            centre=centre,
            workspace=np.empty((2, len(used) ** 2)),
            spectrum=Spectrum.of(inner) if decompose and len(used) else None,
        )

    def system(self, active: Integers | None = None) -> Floats:
        """Return a copy of the moments of all or of the active features; the next call overwrites it."""
        size = len(self.target)
        if active is None or len(active) == size:
            whole: Floats = self.workspace[0].reshape(size, size)
            np.copyto(whole, self.moments)
            return whole
        rows = self.workspace[1, : len(active) * size].reshape(len(active), size)
        part: Floats = self.workspace[0, : len(active) ** 2].reshape(len(active), len(active))
        np.take(self.moments, active, axis=0, out=rows, mode="clip")
        np.take(rows, active, axis=1, out=part, mode="clip")
        return part


def solve_spd(system: Floats, penalty: float, b: Floats) -> Floats | None:
    """Solve (system + penalty I) x = b by a Cholesky factorisation.

    Parameters
    ----------
    system : ndarray of shape (k, k)
        A symmetric matrix, which is overwritten.
    penalty : float
        Number to add to its diagonal.
    b : ndarray of shape (k,)
        Right-hand side.

    Returns
    -------
    ndarray of shape (k,) or None
        None where the matrix is singular.
    """
    # Cholesky loses no digits where features differ in scale, so each pivot is compared with its diagonal entry.
    system.flat[:: len(b) + 1] += penalty
    diagonal = system.diagonal().copy()
    # The transpose of a symmetric matrix is the same matrix in the memory order that LAPACK takes without a copy.
    factor, failed = lapack.dpotrf(system.T, lower=1, overwrite_a=1, clean=0)
    if failed:
        return None
    pivots = factor.diagonal()
    if (pivots * pivots / diagonal).min() < DEPENDENT:
        return None
    solution: Floats = lapack.dpotrs(factor, b, lower=1)[0]
    return solution
