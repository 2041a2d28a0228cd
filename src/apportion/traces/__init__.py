"""One public trace format a file; `registry` finds them by name or by the columns of a file."""
