"""Runs localstripe, a stateful fake of Stripe, for tests: on a free port of the loopback interface, with its state in
memory only. Its own command listens on every interface and keeps its state in a file that all who run it share.

Prints "listening on http://127.0.0.1:…" when it does.
"""

import asyncio

from aiohttp import web
from localstripe import server


async def main():
    type(server.store).dump_to_disk = lambda self: None
    runner = web.AppRunner(server.app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    print(f"listening on http://{host}:{port}", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
