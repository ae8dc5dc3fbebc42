"""A WSGI application over flup's SCGI server."""

import hashlib
import json
import sys

import pytest
from stack import free_port

APPLICATION = """
import hashlib, json, sys
from flup.server.scgi import WSGIServer

def application(environ, start_response):
    length = int(environ['CONTENT_LENGTH'])
    body = environ['wsgi.input'].read(length) if length else b''
    told = {name: value for name, value in environ.items() if isinstance(value, str) and not name.startswith('wsgi.')}
    start_response('201 Made', [('Content-Type', 'application/json'), ('X-Two', 'a'), ('X-Two', 'b')])
    return [json.dumps({'told': told, 'body': hashlib.md5(body).hexdigest()}).encode()]

WSGIServer(application, bindAddress=('127.0.0.1', int(sys.argv[1])), scriptName='').run()
"""


@pytest.fixture(scope="module", autouse=True)
def scgi(place):
    pytest.importorskip("flup")
    port = free_port()
    script = place.folder / "application.py"
    script.write_text(APPLICATION)
    place.start([sys.executable, str(script), str(port)], port)
    place.serve(f"""
        scgi_param REQUEST_METHOD $request_method;
        scgi_param REQUEST_URI $request_uri;
        scgi_param QUERY_STRING $query_string;
        scgi_param SERVER_PROTOCOL $server_protocol;
        scgi_param SERVER_NAME $server_name;
        scgi_param SERVER_PORT $server_port;
        scgi_param SCRIPT_NAME "";
        scgi_param PATH_INFO $uri;
        scgi_param SCGI 1;
        client_max_body_size 20m;
        location / {{ scgi_pass 127.0.0.1:{port}; }}
        location /stream {{ scgi_pass 127.0.0.1:{port}; scgi_request_buffering off; }}
    """)


def test_the_application_is_told_of_the_request(place):
    status, headers, body = place.ask("/a/b?c=d", X_Asked="yes")
    told = json.loads(body)["told"]
    assert status == 201 and headers.get_all("X-Two") == ["a", "b"]
    assert (told["QUERY_STRING"], told["PATH_INFO"], told["HTTP_X_ASKED"]) == ("c=d", "/a/b", "yes")
    assert (told["CONTENT_LENGTH"], told["SCGI"]) == ("0", "1")


def test_bodies_arrive_whole(place):
    large = bytes(range(256)) * 20000
    for path in ("/", "/stream"):
        told = json.loads(place.ask(path, large)[2])
        assert told["body"] == hashlib.md5(large).hexdigest(), path
        assert told["told"]["CONTENT_LENGTH"] == str(len(large))
