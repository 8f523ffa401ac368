// Reads what `leat inspect proof --export-tlog` writes, with Go's own implementation of transparency logs.
//
//	tlog check DIR VERIFIER-KEY [OLD-CHECKPOINT...]
//	    the checkpoint's signature, every tile, every entry against its leaf, a proof of some records, and that the tree
//	    continues those of the older checkpoints; ends with the size and the root
//	tlog prove DIR VERIFIER-KEY INDEX        the inclusion path of a record, a hash a line
//	tlog prove DIR VERIFIER-KEY OLD SIZE     the consistency path
//	tlog sign SIGNING-KEY                    signs the note text on stdin
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

func fail(format string, arguments ...interface{}) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
	os.Exit(1)
}

func must(err error) {
	if err != nil {
		fail("%v", err)
	}
}

// Where C2SP's layout has a tile: that of the package without the height, and with entries for data.
func pathOf(tile tlog.Tile) string {
	path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
	return strings.Replace(path, "tile/data/", "tile/entries/", 1)
}

type tiles struct{ directory string }

func (t tiles) Height() int { return height }

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var read [][]byte
	for _, tile := range wanted {
		data, err := os.ReadFile(filepath.Join(t.directory, pathOf(tile)))
		if err != nil {
			return nil, err
		}
		if tile.L >= 0 && len(data) != tile.W*tlog.HashSize {
			return nil, fmt.Errorf("%s has %d bytes", pathOf(tile), len(data))
		}
		read = append(read, data)
	}
	return read, nil
}

func openCheckpoint(path, key string) tlog.Tree {
	verifier, err := note.NewVerifier(key)
	must(err)
	text, err := os.ReadFile(path)
	must(err)
	opened, err := note.Open(text, note.VerifierList(verifier))
	must(err)
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		fail("%s: not three lines: %q", path, opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	root, err := base64.StdEncoding.DecodeString(lines[2])
	must(err)
	tree := tlog.Tree{N: size}
	if copy(tree.Hash[:], root) != tlog.HashSize || len(root) != tlog.HashSize {
		fail("%s: a root of %d bytes", path, len(root))
	}
	return tree
}

// The tiles of a tree: none is missing, none says anything that does not follow from the root, and nothing else is there
// but what was partial in a smaller tree.
func checkTiles(directory string, tree tlog.Tree, reader tlog.HashReader) {
	known := map[string]bool{}
	for level := 0; tree.N>>(height*level) > 0; level++ {
		count := tree.N >> (height * level)
		for first := int64(0); first < count; first += 1 << height {
			width := int64(1 << height)
			if count-first < width {
				width = count - first
			}
			tile := tlog.Tile{H: height, L: level, N: first >> height, W: int(width)}
			known[pathOf(tile)] = true
			data, err := os.ReadFile(filepath.Join(directory, pathOf(tile)))
			must(err)
			var indexes []int64
			for i := int64(0); i < width; i++ {
				indexes = append(indexes, tlog.StoredHashIndex(height*level, first+i))
			}
			hashes, err := reader.ReadHashes(indexes)
			must(err)
			for i, hash := range hashes {
				if string(hash[:]) != string(data[i*tlog.HashSize:(i+1)*tlog.HashSize]) {
					fail("%s: hash %d is wrong", pathOf(tile), i)
				}
			}
			if level == 0 {
				tile.L = -1
				known[pathOf(tile)] = true
				checkEntries(directory, tile, hashes)
			}
		}
	}
	must(filepath.Walk(filepath.Join(directory, "tile"), func(path string, info os.FileInfo, err error) error {
		relative, _ := filepath.Rel(directory, path)
		whole, _, part := strings.Cut(relative, ".p/")
		if err == nil && !info.IsDir() && !known[relative] && (!part || known[whole]) {
			return fmt.Errorf("%s has no place in a tree of %d", relative, tree.N)
		}
		return err
	}))
}

func checkEntries(directory string, tile tlog.Tile, leaves []tlog.Hash) {
	bundle, err := os.ReadFile(filepath.Join(directory, pathOf(tile)))
	must(err)
	for i, leaf := range leaves {
		if len(bundle) < 2 || len(bundle)-2 < int(binary.BigEndian.Uint16(bundle)) {
			fail("%s ends within entry %d", pathOf(tile), i)
		}
		end := 2 + int(binary.BigEndian.Uint16(bundle))
		if tlog.RecordHash(bundle[2:end]) != leaf {
			fail("%s: entry %d does not hash to its leaf", pathOf(tile), i)
		}
		bundle = bundle[end:]
	}
	if len(bundle) != 0 {
		fail("%s: %d bytes too many", pathOf(tile), len(bundle))
	}
}

func checkProofs(tree tlog.Tree, reader tlog.HashReader) {
	for _, index := range []int64{0, tree.N / 3, tree.N / 2, tree.N - 2, tree.N - 1} {
		if index < 0 || index >= tree.N {
			continue
		}
		proof, err := tlog.ProveRecord(tree.N, index, reader)
		must(err)
		leaf, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
		must(err)
		must(tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaf[0]))
	}
}

func main() {
	if len(os.Args) < 3 {
		fail("see the comment in main.go")
	}
	if os.Args[1] == "sign" {
		signer, err := note.NewSigner(os.Args[2])
		must(err)
		text, err := io.ReadAll(os.Stdin)
		must(err)
		signed, err := note.Sign(&note.Note{Text: string(text)}, signer)
		must(err)
		os.Stdout.Write(signed)
		return
	}
	directory, key, rest := os.Args[2], os.Args[3], os.Args[4:]
	tree := openCheckpoint(filepath.Join(directory, "checkpoint"), key)
	reader := tlog.TileHashReader(tree, tiles{directory})
	if os.Args[1] == "prove" {
		var numbers []int64
		for _, text := range rest {
			number, err := strconv.ParseInt(text, 10, 64)
			must(err)
			numbers = append(numbers, number)
		}
		var path []tlog.Hash
		if len(numbers) == 1 {
			proof, err := tlog.ProveRecord(tree.N, numbers[0], reader)
			must(err)
			path = proof
		} else {
			proof, err := tlog.ProveTree(numbers[1], numbers[0], reader)
			must(err)
			path = proof
		}
		for _, hash := range path {
			fmt.Printf("%x\n", hash[:])
		}
		return
	}
	checkTiles(directory, tree, reader)
	checkProofs(tree, reader)
	for _, path := range rest {
		old := openCheckpoint(path, key)
		if old.N == 0 {
			continue
		}
		proof, err := tlog.ProveTree(tree.N, old.N, reader)
		must(err)
		must(tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash))
	}
	fmt.Printf("%d %x\n", tree.N, tree.Hash[:])
}
