def read_config(p):
    from ndmapper.lib.muse.settings import read_toml
    return read_toml(p)
