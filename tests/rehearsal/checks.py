def check(study, folder):
    return 0
