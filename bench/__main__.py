"""Run every measurement."""

from bench import first_call, first_token, serve_ready, steps

for bench in (serve_ready, first_token, first_call, steps):
    bench.main()
