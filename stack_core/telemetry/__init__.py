"""Every call of the stack as an OpenTelemetry span, in one middleware (`middleware`), sent to sinks (`sinks`) and read
back by `spans`, `query` and `metrics`. OpenTelemetry is imported in this folder only, and only by `middleware`,
`observe` and `sinks`."""
