"""A gRPC service over grpcio, called through the server: unary and streaming calls, trailers, errors."""

import queue
from concurrent import futures

import pytest
from stack import free_port

grpc = pytest.importorskip("grpc")


class Service(grpc.GenericRpcHandler):
    """Messages are bytes, as they are."""

    def service(self, details):
        methods = {
            "Greet": (grpc.unary_unary_rpc_method_handler, self.greet),
            "Count": (grpc.unary_stream_rpc_method_handler, self.count),
            "Sizes": (grpc.stream_unary_rpc_method_handler, self.sizes),
            "Talk": (grpc.stream_stream_rpc_method_handler, self.talk),
            "Fail": (grpc.unary_unary_rpc_method_handler, self.fail),
        }
        make, behaviour = methods.get(details.method.rsplit("/", 1)[1], (None, None))
        return make and make(behaviour)

    def greet(self, request, context):
        told = dict(context.invocation_metadata())
        context.send_initial_metadata((("x-told", told.get("x-asked", "nothing")),))
        context.set_trailing_metadata((("x-trailing", "behind"),))
        return b"hello " + request

    def count(self, request, context):
        for number in range(int(request)):
            yield b"%d" % number

    def sizes(self, requests, context):
        return b",".join(b"%d" % len(request) for request in requests)

    def talk(self, requests, context):
        for request in requests:
            yield b"re " + request

    def fail(self, request, context):
        context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")


@pytest.fixture(scope="module")
def channel(place):
    port = free_port()
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((Service(),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    place.serve(f"""
        upstream service {{ server 127.0.0.1:{port}; keepalive 4; }}
        ---
        http2 on;
        client_max_body_size 0;
        location / {{ grpc_pass grpc://service; }}
        location /gone {{ grpc_pass 127.0.0.1:{free_port()}; }}
    """)
    with grpc.insecure_channel(f"127.0.0.1:{place.port}") as channel:
        yield channel
    server.stop(0)


def test_unary_calls_with_metadata(channel):
    for _ in range(3):
        answer, call = channel.unary_unary("/s/Greet").with_call(b"you", timeout=20, metadata=(("x-asked", "this"),))
        assert answer == b"hello you"
        assert dict(call.initial_metadata())["x-told"] == "this"
        assert dict(call.trailing_metadata())["x-trailing"] == "behind"


def test_streams_in_all_directions(channel):
    assert list(channel.unary_stream("/s/Count")(b"1000", timeout=20)) == [b"%d" % n for n in range(1000)]
    sizes = channel.stream_unary("/s/Sizes")(iter([b"x" * 100_000] * 30), timeout=20)
    assert sizes == b",".join([b"100000"] * 30)
    asked = queue.Queue()
    talk = channel.stream_stream("/s/Talk")(iter(asked.get, None), timeout=20)
    for number in range(5):
        # Each answer comes before the next question is asked.
        asked.put(b"%d" % number)
        assert next(talk) == b"re %d" % number
    asked.put(None)
    assert list(talk) == []


@pytest.mark.parametrize(
    ("method", "code", "details"),
    [("/s/Fail", "NOT_FOUND", "no such thing"), ("/s/None", "UNIMPLEMENTED", "Method not found!")],
)
def test_errors_of_the_service_reach_the_caller(channel, method, code, details):
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary(method)(b"", timeout=20)
    assert (raised.value.code().name, raised.value.details()) == (code, details)


def test_a_dead_service_is_unavailable(channel):
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/gone/Greet")(b"", timeout=20)
    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
