// An empty library by the name libtorch.so. Compiled packages (.pt2) ask the loader for that library, though what they
// call is in libtorch_cpu and libtorch_cuda. LibTorch's own libtorch.so is empty too, but its CUDA form drags in every
// CUDA library, which a machine without a GPU does not have. What was loaded under the name already is not looked for
// again.
