"""Classes that no executor of the tests declares, in a module without executors."""


class Undeclared:
    pass


class UndeclaredOuter:
    class Inner:
        pass
