#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Everything the recipe needs on a Debian machine: typefaces, a word list, Poppler and a Python environment.
# Usage: sh setup.sh [FOLDER OF THE ENVIRONMENT]
set -e
venv=${1:-$HOME/venv-train}
as_root=; [ "$(id -u)" = 0 ] || as_root=sudo
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y --no-install-recommends \
  -o DPkg::Lock::Timeout=300 \
  libcairo2-dev pkg-config poppler-utils fontconfig wamerican \
  fonts-dejavu fonts-liberation fonts-liberation2 fonts-freefont-ttf fonts-urw-base35 fonts-lmodern fonts-cmu \
  fonts-texgyre fonts-stix fonts-noto-core fonts-noto-mono fonts-roboto-unhinted fonts-open-sans fonts-lato \
  fonts-crosextra-carlito fonts-crosextra-caladea fonts-croscore fonts-sil-gentium fonts-sil-gentium-basic \
  fonts-sil-charis fonts-sil-andika fonts-linuxlibertine fonts-ebgaramond fonts-cantarell fonts-inconsolata \
  fonts-hack fonts-firacode fonts-jetbrains-mono fonts-mononoki fonts-anonymous-pro fonts-courier-prime \
  fonts-paratype fonts-quattrocento fonts-vollkorn fonts-karla fonts-cabin fonts-inter fonts-go fonts-gfs-didot \
  fonts-gfs-neohellenic fonts-play fonts-dosis fonts-tuffy ttf-bitstream-vera fonts-league-spartan fonts-oldstandard \
  fonts-adf-accanthis fonts-adf-baskervald fonts-adf-gillius fonts-adf-universalis fonts-averia-sans-gwf \
  fonts-averia-serif-gwf fonts-comfortaa fonts-jura fonts-thai-tlwg
python3.11 -m venv "$venv"
"$venv/bin/pip" install 'torch==2.13.0' 'numpy<3' pillow pycairo fonttools uharfbuzz safetensors tokenizers
