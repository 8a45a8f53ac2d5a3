"""Prints templates of CloudFormation as one JSON object by file name, read as cfn-lint reads them."""

import json
import pathlib
import sys

from cfnlint.decode.cfn_yaml import load

print(json.dumps({pathlib.Path(path).stem: load(path) for path in sys.argv[1:]}))
