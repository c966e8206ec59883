"""Numbers as text, in tables of the report and of the terminal. No command draws figures to print one."""

from typing import Any


def estimate(value: dict[str, Any] | None, digits: int = 3) -> str:
    """A mean with its interval, where it has one, as text."""
    if value is None or value["low"] is None:
        return number(None if value is None else value["mean"], digits)
    return f"{value['mean']:z.{digits}f} [{value['low']:z.{digits}f}, {value['high']:z.{digits}f}]"


def p_value(value: float | None) -> str:
    """A p-value as text: one that three decimals would show as 0 is below 0.001."""
    return "p < 0.001" if value is not None and value < 0.001 else f"p = {number(value)}"


def number(value: float | None, digits: int = 3) -> str:
    """A number as text; a dash where there is none."""
    # z: what rounds to 0 has no minus sign.
    return "–" if value is None else f"{value:z.{digits}f}"
