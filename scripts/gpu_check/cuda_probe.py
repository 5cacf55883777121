"""Asks the CUDA runtime that our programs would use what it finds, and prints one JSON object; runs in their environment."""
import ctypes
import json
import sys

SONAMES = ("libcudart.so.13", "libcudart.so.12")


def runtime(soname):
    """Its functions as a program that is linked to it finds them: what is preloaded comes first."""
    try:
        ctypes.CDLL(soname, mode=ctypes.RTLD_GLOBAL)
        return ctypes.CDLL(None)
    except OSError as error:
        print(error, file=sys.stderr)
        return None


def main():
    answer = {"cudart": "", "code": None, "error": "no CUDA runtime was found", "count": 0, "driver": None, "libcuda": False}
    try:
        ctypes.CDLL("libcuda.so.1")
        answer["libcuda"] = True
    except OSError as error:
        answer["libcuda_error"] = str(error)
    for soname in SONAMES:
        cudart = runtime(soname)
        if cudart is None:
            continue
        count, driver = ctypes.c_int(0), ctypes.c_int(0)
        cudart.cudaGetErrorName.restype = ctypes.c_char_p
        code = cudart.cudaGetDeviceCount(ctypes.byref(count))
        answer.update(cudart=soname, code=code, error=cudart.cudaGetErrorName(code).decode(), count=count.value if code == 0 else 0)
        if cudart.cudaDriverGetVersion(ctypes.byref(driver)) == 0:
            answer["driver"] = driver.value
        break
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
