"""Run every measurement."""

from bench import first_call, first_token, serve_ready, steps, uploads

for bench in (serve_ready, first_token, first_call, steps, uploads):
    bench.main()
