"""Linear programs from arrays, straight to a solver: HiGHS, warm when a program is solved again; or ECOS.

HiGHS (MIT) ends in a corner of the optimal face. ECOS (GPL, an extra) ends inside of it, where many entries are small
and their order matters to who is next; it is there to repeat published runs, and is handed the rows in the order in
which the modelling layer of those runs laid them out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from apportion.engine.layout import F8, I8
from apportion.model.errors import PolicyError

PRIMAL = 4
"""HiGHS' number of the primal simplex method."""


@dataclass
class Program:
    """Minimise cost x under rows x <= limit, 0 <= x; the first `free` columns may have any sign.

    Parameters
    ----------
    columns: how many there are. signs_at: number of rows that stand before those of 0 <= x where these are rows too.
    """

    columns: int
    free: int = 0
    signs_at: int = 0
    cost: F8 = field(init=False)
    limit: list[F8] = field(default_factory=list, init=False)
    _row: list[I8] = field(default_factory=list, init=False)
    _column: list[I8] = field(default_factory=list, init=False)
    _value: list[F8] = field(default_factory=list, init=False)
    rows: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.cost = np.zeros(self.columns)

    def add(self, limit: F8, *entries: tuple[I8, I8, F8]) -> I8:
        """Add rows; entries are (row among these, column, value) and are broadcast. Return the rows' numbers."""
        for row, column, value in entries:
            r, c, v = np.broadcast_arrays(row, column, value)
            some = v.ravel() != 0
            self._row.append(r.ravel()[some] + self.rows)
            self._column.append(c.ravel()[some])
            self._value.append(v.ravel()[some].astype(np.float64))
        self.limit.append(np.asarray(limit, np.float64))
        self.rows += self.limit[-1].size
        return np.arange(self.rows - self.limit[-1].size, self.rows)

    def by_column(self) -> tuple[I8, I8, F8]:
        """Return where each column starts, and the row and the value of each entry."""
        row, column, value = np.concatenate(self._row), np.concatenate(self._column), np.concatenate(self._value)
        order = np.lexsort((row, column))
        start = np.concatenate([[0], np.cumsum(np.bincount(column, minlength=self.columns))])
        return start.astype(np.int64), row[order].astype(np.int64), value[order]


class Highs:
    """A program in HiGHS, that can be changed and solved again from where it ended."""

    def __init__(self, program: Program) -> None:
        import highspy  # a third of a second: only where programs are solved

        self._api = highspy
        lp = highspy.HighsLp()
        start, row, value = program.by_column()
        lower = np.zeros(program.columns)
        lower[: program.free] = -highspy.kHighsInf
        lp.num_col_, lp.num_row_ = program.columns, program.rows
        lp.col_cost_, lp.col_lower_ = program.cost, lower
        lp.col_upper_ = np.full(program.columns, highspy.kHighsInf)
        lp.row_lower_ = np.full(program.rows, -highspy.kHighsInf)
        lp.row_upper_ = np.concatenate(program.limit)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = start, row, value
        self._highs = highspy.Highs()
        self._highs.setOptionValue("output_flag", False)
        self._highs.setOptionValue("threads", 1)
        self._highs.passModel(lp)
        kinds = highspy.HighsBasisStatus
        self._status = (kinds.kLower, kinds.kBasic, kinds.kUpper, kinds.kZero, kinds.kNonbasic)

    def cost(self, columns: I8, values: F8) -> None:
        """Change costs."""
        self._highs.changeColsCost(columns.size, columns.astype(np.int32), np.asarray(values, np.float64))

    def bounds(self, columns: I8, low: F8, high: F8) -> None:
        """Change bounds of columns."""
        self._highs.changeColsBounds(columns.size, columns.astype(np.int32), low, high)

    def whole(self, columns: I8, gap: float) -> None:
        """Let columns be 0 or 1 only; the search ends within a relative gap of the best."""
        kind = self._api.HighsVarType.kInteger
        self.bounds(columns, np.zeros(columns.size), np.ones(columns.size))
        self._highs.changeColsIntegrality(columns.size, columns.astype(np.int32), np.array([kind] * columns.size))
        self._highs.setOptionValue("mip_rel_gap", gap)

    def limits(self, rows: I8, limit: F8) -> None:
        """Change limits of rows."""
        for row, value in zip(rows.tolist(), limit.tolist()):
            self._highs.changeRowBounds(row, -self._api.kHighsInf, value)

    def solve(self) -> F8 | None:
        """Return the best x, None when there is none."""
        self._highs.run()
        if self._highs.getModelStatus() != self._api.HighsModelStatus.kOptimal:
            return None
        return np.array(self._highs.getSolution().col_value)

    def basis_of_nothing(self) -> tuple[I8, I8]:
        """Return statuses of columns and rows with all columns at 0."""
        return np.zeros(self._highs.getNumCol(), np.int64), np.ones(self._highs.getNumRow(), np.int64)

    def start_at(self, columns: I8, rows: I8) -> None:
        """Start at a basis: statuses of columns and rows as `basis` returned them; it need not be one any more."""
        basis, status = self._api.HighsBasis(), self._status
        basis.col_status = [status[s] for s in columns]
        basis.row_status = [status[s] for s in rows]
        basis.valid, basis.alien = True, True
        self._highs.setBasis(basis)
        # such a start is nearly feasible, which suits the primal method; HiGHS' default is the dual one
        self._highs.setOptionValue("simplex_strategy", PRIMAL)

    def basis(self) -> tuple[I8, I8]:
        """Return the statuses of columns and rows where the last solve ended."""
        basis = self._highs.getBasis()
        return np.array([int(s) for s in basis.col_status]), np.array([int(s) for s in basis.row_status])

    def prices(self) -> F8:
        """Return by how much the cost falls per unit of each row's limit, at least 0."""
        return -np.array(self._highs.getSolution().row_dual)


def solve_ecos(program: Program, cones: int = 0, accurate: bool = False) -> F8 | None:
    """Return an x inside the optimal face, None when there is none (`accurate`: or none at full accuracy).

    The last 3 x `cones` rows are second-order cones of three rows each.

    Raises
    ------
    PolicyError: ECOS is not installed.
    """
    ecos, sparse = _ecos()
    start, row, value = program.by_column()
    rows = sparse.csc_matrix((value, row, start), shape=(program.rows, program.columns)).tocsr()
    signed = np.arange(program.free, program.columns - cones)
    signs = sparse.csr_matrix(
        (-np.ones(signed.size), (np.arange(signed.size), signed)), shape=(signed.size, program.columns)
    )
    at = program.signs_at
    limit = np.concatenate(program.limit)
    matrix = sparse.vstack([rows[:at], signs, rows[at:]]).tocsc()
    matrix.sort_indices()
    limit = np.concatenate([limit[:at], np.zeros(signed.size), limit[at:]])
    dims = {"l": limit.size - 3 * cones, "q": [3] * cones, "e": 0}
    found = ecos.solve(program.cost, matrix, limit, dims, verbose=False)
    return np.asarray(found["x"]) if found["info"]["exitFlag"] in ((0,) if accurate else (0, 10)) else None


def _ecos() -> tuple[Any, Any]:
    try:
        import ecos
        from scipy import sparse
    except ImportError:
        raise PolicyError("solver=ecos needs the package ecos: pip install apportion[ecos]") from None
    return ecos, sparse
