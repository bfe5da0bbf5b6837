#!/bin/bash -eu
exec bash "$SRC/cowl/fuzz/build.sh"
