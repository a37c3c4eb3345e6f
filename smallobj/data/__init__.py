from smallobj.data import datasets

datasets.register_builtin()
