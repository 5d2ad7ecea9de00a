"""Where state lives: two protocols (`kv`, `sql`), the backends behind them, and the repositories that stand on them."""
