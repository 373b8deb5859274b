// Vault's own transit engine behind the part of Vault's HTTP API that reaches it: tokens, the mount
// `transit`, and errors as Vault answers them. Storage is memory. For tests; nothing of it is shipped.
//
// Usage: VAULT_TRANSIT_TOKEN=... vault-transit 127.0.0.1:8200
package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"strings"

	"github.com/hashicorp/vault/builtin/logical/transit"
	"github.com/hashicorp/vault/sdk/logical"
)

const mount = "/v1/transit/"

var operations = map[string]logical.Operation{
	http.MethodGet:    logical.ReadOperation,
	http.MethodPost:   logical.UpdateOperation,
	http.MethodPut:    logical.UpdateOperation,
	http.MethodDelete: logical.DeleteOperation,
	"LIST":            logical.ListOperation,
}

type server struct {
	token   string
	backend logical.Backend
	storage logical.Storage
}

func main() {
	ctx := context.Background()
	storage := &logical.InmemStorage{}
	config := &logical.BackendConfig{StorageView: storage, System: logical.TestSystemView()}
	backend, err := transit.Factory(ctx, config)
	if err != nil {
		log.Fatal(err)
	}
	if err := backend.Initialize(ctx, &logical.InitializationRequest{Storage: storage}); err != nil {
		log.Fatal(err)
	}
	served := &server{os.Getenv("VAULT_TRANSIT_TOKEN"), backend, storage}
	log.Fatal(http.ListenAndServe(os.Args[1], served))
}

func (s *server) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	if s.token == "" || request.Header.Get("X-Vault-Token") != s.token {
		refuse(writer, http.StatusForbidden, errors.New("permission denied"))
		return
	}
	if request.URL.Path == "/v1/auth/token/lookup-self" {
		answer(writer, map[string]any{"display_name": "token"})
		return
	}
	path, found := strings.CutPrefix(request.URL.Path, mount)
	operation, known := operations[request.Method]
	if !found || !known {
		refuse(writer, http.StatusNotFound, errors.New("no handler for route"))
		return
	}
	s.handle(writer, request, path, operation)
}

func (s *server) handle(
	writer http.ResponseWriter, request *http.Request, path string, operation logical.Operation,
) {
	data := map[string]any{}
	if err := json.NewDecoder(request.Body).Decode(&data); err != nil && !errors.Is(err, io.EOF) {
		refuse(writer, http.StatusBadRequest, err)
		return
	}
	asked := &logical.Request{
		Operation: operation, Path: path, MountPoint: "transit/", Data: data, Storage: s.storage,
	}
	if operation == logical.UpdateOperation {
		checked, exists, err := s.backend.HandleExistenceCheck(request.Context(), asked)
		if err != nil {
			refuse(writer, http.StatusInternalServerError, err)
			return
		}
		if checked && !exists {
			asked.Operation = logical.CreateOperation
		}
	}
	response, err := s.backend.HandleRequest(request.Context(), asked)
	if status, refusal := logical.RespondErrorCommon(asked, response, err); refusal != nil {
		refuse(writer, status, refusal)
		return
	} else if status != 0 {
		refuse(writer, status)
		return
	}
	if response == nil || response.Data == nil {
		writer.WriteHeader(http.StatusNoContent)
		return
	}
	answer(writer, response.Data)
}

func answer(writer http.ResponseWriter, data map[string]any) {
	writer.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(writer).Encode(map[string]any{"data": data})
}

func refuse(writer http.ResponseWriter, status int, refusals ...error) {
	messages := []string{}
	for _, refusal := range refusals {
		messages = append(messages, refusal.Error())
	}
	writer.Header().Set("Content-Type", "application/json")
	writer.WriteHeader(status)
	_ = json.NewEncoder(writer).Encode(map[string]any{"errors": messages})
}
