SETTINGS = ()


def read(config):
    raise NotImplementedError
