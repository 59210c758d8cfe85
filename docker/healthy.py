#!/usr/bin/env python
"""Whether a server answers: exit code 0 where it does, a sentence and 1 where it does not. Slim images have no curl.

Run: healthy http://127.0.0.1:5000/health
"""

import sys
import urllib.request

# A proxy for the way out, which Docker hands to every container, must not be asked for the container itself.
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    direct.open(sys.argv[1], timeout=4)
except OSError as error:
    sys.exit(f"{sys.argv[1]} does not answer: {error}")
