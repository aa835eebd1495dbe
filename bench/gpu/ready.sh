# What both commands begin with: the wheels that the machine lacks, out of .lease/whl, into a folder of their own.
export PYTHONUNBUFFERED=1 PYTHONPATH=$PWD
mkdir -p "${OUT:?set OUT to the folder for the results}" || exit
if compgen -G ".lease/whl/*.whl" > /dev/null; then
    python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target .lease/site .lease/whl/*.whl || return
    export PYTHONPATH=$PWD/.lease/site:$PWD
fi
python3 -c "import minigan.training.config" || return  # before time is spent
