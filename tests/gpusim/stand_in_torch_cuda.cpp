// See CMakeLists.txt. Something to load.
extern "C" __attribute__((visibility("default"))) int stand_in_torch_cuda() { return 1; }
