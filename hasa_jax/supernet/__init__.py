"""One model at every size: its types, unit groups, costs, and how any linen module becomes one."""
