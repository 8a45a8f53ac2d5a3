"""Runs moto's server, with one fault of its Step Functions mended. It sends a task's message first and sets up the task's
heartbeat afterwards; an answer that comes between the two is taken, and nobody wakes who waits for it, so the task times
out although it was answered. The service itself has no such gap.

Takes the arguments of `moto_server`.
"""

import sys

from moto.server import main
from moto.stepfunctions.parser.asl.eval.callback.callback import CallbackEndpoint

set_up = CallbackEndpoint.setup_heartbeat_endpoint


def set_up_and_look(self, heartbeat_seconds):
    heartbeat = set_up(self, heartbeat_seconds)
    if self.get_outcome() is not None:
        heartbeat.notify()
    return heartbeat


CallbackEndpoint.setup_heartbeat_endpoint = set_up_and_look
sys.exit(main())
