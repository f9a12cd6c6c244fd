"""The normal equations of penalised least squares: scaled moments, and two ways to solve them for many penalties.

A Cholesky factorisation serves one penalty and any set of features, and says whether columns are dependent. One
eigendecomposition serves every penalty; leaving features out of it takes a system of as many equations as are left
out. It loses digits where eigenvalues are small, so that whoever uses it checks what is left over.
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
#: A standard deviation below this share of the mean is rounding, and the column constant.
_CONSTANT = 64 * _EPS
#: Squared Cholesky pivots (of a unit diagonal) and eigenvalue ratios below this are dependent columns.
DEPENDENT = 1e-12
#: Eigenvalue ratios below this leave too few digits to a solution from a spectrum.
_SHARP = 1e-9
#: Numbers held at a time for the features that many candidates leave out.
_BLOCK = 1 << 22


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Eigenvalues, ascending, and eigenvectors, in columns, of the features' moments."""

    values: Floats
    vectors: Floats

    @classmethod
    def of(cls, moments: Floats) -> Spectrum:
        """Decompose; LAPACK's best routine for all vectors takes some 25 times as long as a factorisation."""
        return cls(*linalg.eigh(moments, check_finite=False, driver="evd"))

    def is_sharp(self, penalties: Floats) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Tell at which L2 penalties a solution from the spectrum keeps its digits."""
        sharp: np.ndarray[tuple[int], np.dtype[np.bool_]] = self.values[0] + penalties >= _SHARP * self.values[-1]
        return sharp

    def solve(self, penalties: Floats, wanted: Floats, left_out: Flags) -> Floats:
        """Solve (moments + penalty I) x = wanted, entries and equations of features left out apart.

        Parameters
        ----------
        penalties : ndarray of shape (m,)
            L2 penalties.
        wanted : ndarray of shape (m, k)
            Right-hand sides, one row a penalty.
        left_out : ndarray of bool of shape (m, k)
            Features, for each penalty, whose entry is 0 and whose equation need not hold.

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
            rotated[part] -= self._held_at_zero(rotated[part], damping[part], left_out[part], counts[part])
        solutions: Floats = np.where(left_out, 0.0, rotated @ self.vectors.T)
        return solutions

    def _held_at_zero(self, rotated: Floats, damping: Floats, left_out: Flags, counts: Integers) -> Floats:
        """Return what forces on the features left out, of the size that keeps these at 0, move in eigenvectors."""
        most = int(counts.max(initial=0))
        # Rows with fewer of them are filled up by others, whose force is made 0.
        features = np.argsort(~left_out, axis=1, kind="stable")[:, :most]
        real = np.arange(most) < counts[:, None]
        axes = self.vectors[features] * real[:, :, None]
        damped = axes * damping[:, None, :]
        systems = damped @ axes.transpose(0, 2, 1)
        systems[:, np.arange(most), np.arange(most)] += ~real
        force = np.linalg.solve(systems, axes @ rotated[:, :, None])
        moved: Floats = (force.transpose(0, 2, 1) @ damped)[:, 0, :]
        return moved


@dataclass(frozen=True, slots=True)
class Problem:
    """A least-squares problem in the units in which its penalty is the same for all features.

    Attributes
    ----------
    moments : ndarray of shape (k, k)
        Second moments of the features that vary.
    target : ndarray of shape (k,)
        Their moments with the label.
    yy : float
        Second moment of the label.
    used : ndarray of int of shape (k,)
        Which features vary.
    unit : ndarray of shape (k,)
        What a feature was divided by.
    label_scale : float
        What the label was divided by; 0 for a label that needs no fit.
    centre : ndarray of shape (d + 1,)
        Means that were taken off first; zeros without an intercept.
    workspace : ndarray of shape (2, k * k)
        Where systems are built and factorised: taking memory for each anew costs more than to factorise it.
    spectrum : Spectrum or None
        Of `moments`; None where too few solutions are asked for.
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
        """Return the largest a feature's moment with the label can be."""
        norms: Floats = np.sqrt(np.diagonal(self.moments) * self.yy)
        return norms

    @classmethod
    def of(cls, gram: Gram, *, fit_intercept: bool, standardization: bool, decompose: bool) -> Problem:
        """Build the problem from the moments of the training rows."""
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
        """Return a copy of the moments, or of those of the active features, that lasts until the next one."""
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
    """Solve (system + penalty I) x = b by Cholesky, overwriting `system`; None where it is singular."""
    # Cholesky loses no digits to the scale of a feature, so that its pivots are judged against the diagonal.
    system.flat[:: len(b) + 1] += penalty
    diagonal = system.diagonal().copy()
    # system is symmetric: its transpose is the same matrix in the order LAPACK works in without a copy.
    factor, failed = lapack.dpotrf(system.T, lower=1, overwrite_a=1, clean=0)
    if failed:
        return None
    pivots = factor.diagonal()
    if (pivots * pivots / diagonal).min() < DEPENDENT:
        return None
    solution: Floats = lapack.dpotrs(factor, b, lower=1)[0]
    return solution
