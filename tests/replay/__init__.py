"""Histories of released shapes of the generic workflow, replayed by the present one."""
