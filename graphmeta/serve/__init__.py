"""A trained model as a service: events, recommendations, reasons and questions over HTTP.

Needs the extra `serve`.
"""

from graphmeta.serve.app import create_app
from graphmeta.serve.served_model import ServedModel
from graphmeta.serve.service import of_bundle
from graphmeta.serve.settings import ServeSettings

__all__ = ["ServeSettings", "ServedModel", "create_app", "of_bundle"]
