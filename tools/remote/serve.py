#!/usr/bin/env python3
"""A server of the Remote Execution API on loopback, to see `--config=remote` work:

    serve.py FOLDER     buildbox-casd with its cache in FOLDER, which executes on this machine

Prints one line, the address for --remote_cache and --remote_executor, when it is ready. Ends
with its standard input, and takes the server with it. Needs `./bazelw toolbox add remote`.

Bazel 7 speaks version 2.0 of the API, and buildbox-casd says that it speaks 2.1 and later, though
nothing that Bazel asks of it has changed in between. So the address is that of a proxy, which
passes every call on and lets the server's capabilities begin with 2.0.
"""

import concurrent.futures
import pathlib
import socket
import subprocess
import sys

import grpc

CAPABILITIES = "/build.bazel.remote.execution.v2.Capabilities/GetCapabilities"
# ServerCapabilities.low_api_version (4) = SemVer{major (1) = 2, minor (2) = 0}. The last of a field
# counts, and a message's fields are merged, so this replaces what came before it.
LOW_API_VERSION_2_0 = bytes([4 << 3 | 2, 4, 1 << 3, 2, 2 << 3, 0])
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
# What the transport makes anew.
OWN_HEADERS = ("user-agent", "grpc-accept-encoding", "grpc-encoding")
WAIT_SECONDS = 30
MOST_SECONDS = 24 * 3600


class Proxy(grpc.GenericRpcHandler):
    """Passes calls on as bytes: on the wire a single message is a stream of one."""

    def __init__(self, channel):
        self._channel = channel

    def service(self, handler_call_details):
        method = handler_call_details.method
        call = self._channel.stream_stream(method)

        def forward(requests, context):
            headers = [h for h in context.invocation_metadata() if h.key not in OWN_HEADERS]
            # Of a call without a deadline it is years, which a new deadline cannot be.
            left = context.time_remaining()
            left = left if left is not None and left < MOST_SECONDS else None
            responses = call(requests, timeout=left, metadata=headers)
            context.add_callback(responses.cancel)
            try:
                for response in responses:
                    yield response + LOW_API_VERSION_2_0 if method == CAPABILITIES else response
            except grpc.RpcError as error:
                context.set_trailing_metadata(error.trailing_metadata() or ())
                context.abort(error.code(), error.details())

        return grpc.stream_stream_rpc_method_handler(forward)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    backend = f"127.0.0.1:{free_port()}"
    casd = subprocess.Popen(
        ["buildbox-casd", f"--bind={backend}", "--buildbox-run=/usr/bin/buildbox-run-hosttools", str(folder)],
        stdin=subprocess.DEVNULL, stdout=sys.stderr,
    )
    try:
        channel = grpc.insecure_channel(backend, options=UNLIMITED)
        grpc.channel_ready_future(channel).result(WAIT_SECONDS)
        server = grpc.server(concurrent.futures.ThreadPoolExecutor(64), handlers=[Proxy(channel)], options=UNLIMITED)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        print(f"grpc://127.0.0.1:{port}", flush=True)
        sys.stdin.read()
        server.stop(None)
    except grpc.FutureTimeoutError:
        sys.exit(f"serve.py: buildbox-casd did not answer at {backend} within {WAIT_SECONDS} s")
    finally:
        casd.terminate()
        casd.wait()


if __name__ == "__main__":
    main()
