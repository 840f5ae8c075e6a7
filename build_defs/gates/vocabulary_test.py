"""The kill rule against planted words, and against what only looks like one."""

import unittest

from build_defs.gates import vocabulary
from build_defs.gates.planting import PlantingTest


class VocabularyTest(PlantingTest):
    def words(self, text):
        return [word for word, _ in vocabulary.killed_words(text)]

    def test_a_clean_tree_passes(self):
        self.plant("allocator/arena.h", '#include "primitives/page_id.h"\n// Maps a PageId to its block.\n')
        self.plant("allocator/BUILD.bazel", 'load("//build_defs:layer.bzl", "layer_package")\ndeps = ["//primitives:page_id"]\n')
        self.plant("memory/page/page.h", "class Page;  // delta epoch device simd\n")
        self.assert_refused(vocabulary.check(self.tree()))

    def test_each_word_is_refused_with_file_and_line(self):
        for word in ("page", "delta", "epoch", "device", "simd"):
            with self.subTest(word):
                self.plant("allocator/arena.h", f"// fine\n\nint x;  // the {word} here\n")
                self.assert_refused(vocabulary.check(self.tree()), ("allocator/arena.h:3", f'"{word}" says "{word}"'))

    def test_any_case_and_any_place_in_a_word(self):
        for word in ("PAGE", "PaGe", "Pages", "homepage", "kPageBytes", "page_size", "SIMDe", "mmsb_DELTA_x", "random_device", "EpochReclaimer"):
            with self.subTest(word):
                self.assertEqual(self.words(f"a {word}."), [word])

    def test_words_that_only_resemble_one_pass(self):
        for word in ("package", "pager"[:3], "epic", "devise", "paging", "dealt", "pa ge", "sim d", "del-ta"):
            with self.subTest(word):
                self.assertEqual(self.words(word), [])

    def test_the_exemptions_hold_only_as_whole_words(self):
        for text in ("PageId", "Id<PageId>", "const PageId& id", "primitives/page_id.h", '"//primitives:page_id",'):
            with self.subTest(text):
                self.assertEqual(self.words(text), [])
        for text in ("PageIds", "pageid", "PAGEID", "kPageId", "PageIdTag", "PageId_", "page_id", "page_id.h", "memory/primitives/page_id.h",
                     "primitives/page_id.hh", "//primitives:page_id_test", "@mmsb//primitives:page_id", "//memory/page:page_id"):
            with self.subTest(text):
                self.assertNotEqual(self.words(text), [])

    def test_an_exemption_hides_no_other_word_of_the_line(self):
        self.assertEqual(self.words("// PageId of a page"), ["page"])

    def test_names_of_files_and_folders(self):
        self.plant("allocator/page_pool.h")
        self.plant("allocator/simd/README.md")
        self.plant("allocator/.delta")
        self.assert_refused(
            vocabulary.check(self.tree()),
            ("allocator/page_pool.h:1", 'the file name says "page_pool"'),
            ("allocator/simd/README.md:1", 'the file name says "simd"'),
            ("allocator/.delta:1", 'the file name says "delta"'),
        )

    def test_every_kind_of_file_is_read(self):
        for path in ("allocator/README.md", "allocator/BUILD.bazel", "allocator/testing/a_test.cc", "allocator/data.txt"):
            self.plant(path, "an epoch\n")
        self.assertEqual(len(vocabulary.check(self.tree())), 4)

    def test_a_word_over_two_lines_is_one(self):
        self.plant("allocator/a.h", "// fine\nint pa\\\nge;\nint del\\  \r\nta;\n")
        self.assert_refused(vocabulary.check(self.tree()), ("allocator/a.h:2", '"page"'), ("allocator/a.h:4", '"delta"'))

    def test_look_alike_letters_hide_nothing(self):
        self.assertEqual(self.words("\uff50\uff41\uff47\uff45"), ["page"])
        self.assertEqual(self.words("pa\u200bge"), ["page"])
        self.assertEqual(self.words("pa\u00adge"), ["page"])

    def test_what_is_not_text_is_refused(self):
        self.plant("allocator/seed.bin", "page".encode("utf-16"))
        self.assert_refused(vocabulary.check(self.tree()), ("allocator/seed.bin:1", "not UTF-8"))

    def test_a_given_list_of_files_is_what_is_read(self):
        self.plant("allocator/listed.h", "// page\n")
        self.plant("allocator/unlisted.h", "// page\n")
        self.assert_refused(vocabulary.check(self.tree(["allocator/listed.h", "memory/page.h"])), ("allocator/listed.h:1", "page"))

    def test_the_message_names_the_home(self):
        self.plant("allocator/a.h", "// simd\n")
        self.assertIn("device/simd/", vocabulary.check(self.tree())[0].belongs)


if __name__ == "__main__":
    unittest.main()
