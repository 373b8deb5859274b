// Made tlog_vectors.json, with golang.org/x/mod v0.20.0: `go run tlog_vectors.go > tlog_vectors.json`.

package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type store map[int64]tlog.Hash

func (s store) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = s[x]
	}
	return out, nil
}

func main() {
	const n = 20
	s := store{}
	var roots []string
	for i := int64(0); i < n; i++ {
		hs, err := tlog.StoredHashes(i, []byte(fmt.Sprintf("leaf %d", i)), s)
		if err != nil {
			panic(err)
		}
		at := tlog.StoredHashIndex(0, i)
		for j, h := range hs {
			s[at+int64(j)] = h
		}
		root, _ := tlog.TreeHash(i+1, s)
		roots = append(roots, hex.EncodeToString(root[:]))
	}
	conv := func(p []tlog.Hash) []string {
		out := []string{}
		for _, h := range p {
			out = append(out, hex.EncodeToString(h[:]))
		}
		return out
	}
	inclusion := map[string][]string{}
	consistency := map[string][]string{}
	for _, t := range []int64{1, 2, 3, 7, 8, 13, 20} {
		for i := int64(0); i < t; i++ {
			p, err := tlog.ProveRecord(t, i, s)
			if err != nil {
				panic(err)
			}
			inclusion[fmt.Sprintf("%d/%d", i, t)] = conv(p)
			q, err := tlog.ProveTree(t, i+1, s)
			if err != nil {
				panic(err)
			}
			consistency[fmt.Sprintf("%d/%d", i+1, t)] = conv(q)
		}
	}
	skey, vkey, _ := note.GenerateKey(rand.Reader, "example.org/log")
	signer, _ := note.NewSigner(skey)
	root, _ := tlog.TreeHash(n, s)
	text := fmt.Sprintf("example.org/log/audit/1\n%d\n%s\n", n, root.String())
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		panic(err)
	}
	_ = json.NewEncoder(os.Stdout).Encode(map[string]any{
		"roots": roots, "inclusion": inclusion, "consistency": consistency,
		"verifier_key": vkey, "note": string(signed),
	})
}
