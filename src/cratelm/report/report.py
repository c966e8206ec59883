"""stub"""
def report(measured,*a): return measured
