PY := .venv/bin/python
PROTOS := $(shell find proto -name '*.proto')

.PHONY: proto
proto: ## regenerate the stubs in malha/api
	rm -rf malha/api third_party/gen && mkdir -p malha/api third_party/gen
	$(PY) -m grpc_tools.protoc -I proto -I third_party/proto \
	  --python_out=. --pyi_out=. --grpc_python_out=. --mypy_grpc_out=. --plugin=protoc-gen-mypy_grpc=.venv/bin/protoc-gen-mypy_grpc $(sort $(PROTOS)) 2>/dev/null
	$(PY) -m grpc_tools.protoc -I third_party/proto --python_out=third_party/gen --pyi_out=third_party/gen buf/validate/validate.proto
	find malha/api -type d -exec touch {}/__init__.py \;
	touch third_party/gen/buf/__init__.py third_party/gen/buf/validate/__init__.py
	# a file of messages alone has no use for gRPC stubs
	find malha/api -name '*_pb2_grpc.py' | while read f; do grep -q 'Servicer(object)' $$f || rm $$f $${f}i; done
