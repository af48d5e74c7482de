"""optuna-dashboard on a study's storage, as a small web server of this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from lstune.errors import StudyError, UserError, explain, missing_extra
from lstune.search.storage import Store

__all__ = ["serve_dashboard"]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True  # a browser that keeps a connection open must not hold the end up


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """A page asks every few seconds: no line for each."""


def serve_dashboard(
    store: Store,
    *,
    host: str,
    port: int,
    ready: Callable[[str], None],
    metric: str,
    about: Mapping[str, Any],
    ended: Callable[[], bool],
) -> None:
    """Serve the study until Ctrl-C; `ready` is called with its address. Port 0: any free one.

    metric, about, ended: see `StudyView`.
    Raises MissingExtraError without optuna-dashboard, StudyError if the storage holds no such study,
    UserError for a port that cannot be had.
    """
    try:
        from optuna_dashboard import wsgi
    except ImportError:
        raise missing_extra("optuna-dashboard", "dashboard", "The dashboard") from None
    from lstune.search.samplers._optuna import quiet

    if store.read_spec() is None:
        raise StudyError(
            explain("The storage holds no study of this run", f"{store.study_name} in {store.describe()}")
        )
    with quiet():
        from lstune.search.view import StudyView

        view = StudyView(store, metric=metric, about=about, ended=ended)
        application = wsgi(view)
    try:
        server = make_server(host, port, application, server_class=_Server, handler_class=_Quiet)
    except (OSError, OverflowError) as error:
        text = getattr(error, "strerror", None) or str(error)
        raise UserError(
            explain("The dashboard needs a free port", f"{host}:{port}: {text}", "Choose another with --port")
        ) from None
    shown = f"[{host}]" if ":" in host else host
    with server, quiet():
        ready(f"http://{shown}:{server.server_port}/dashboard/studies/{view.study_id}")
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            return
