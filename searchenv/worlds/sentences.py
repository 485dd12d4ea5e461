"""The sentences that state facts, as templates.

``{s}`` is the entity that the passage is about, ``{p}`` and ``{p_mid}`` its possessive pronoun,
``{relation}`` the object of a fact about it, and ``{back_relation}`` the subjects of the facts
whose object it is ("She directed {back_directed_by}."). The writer fills the templates, and the
checker reads passages with the same templates turned into patterns. Every relation needs a sentence
that holds its slot alone.
"""

from searchenv.worlds.schema import Kind

__all__ = ["INTROS", "NOISE", "PRONOUNS", "SENTENCES"]

PRONOUNS: dict[Kind, tuple[str, ...]] = {
    kind: ("It", f"The {kind}") for kind in Kind if kind is not Kind.PERSON
}
"""What may stand for ``{s}`` after the first sentence; people are "He" or "She"."""

INTROS: dict[Kind, tuple[str, ...]] = {
    Kind.PERSON: (
        "{s} (born {born_on}) is {occupation} from {citizen_of}.",
        "{s} (born {born_on} in {born_in}) is {occupation} from {citizen_of}.",
        "{s}, born in {born_in} on {born_on}, is {occupation}.",
        "{s} (born {born_on}, died {died_on}) was {occupation} from {citizen_of}.",
        "{s} (born {born_on} in {born_in}, died {died_on} in {died_in}) was {occupation}.",
        "{s} was {occupation} from {citizen_of} who died on {died_on}.",
    ),
    Kind.FILM: (
        "{s} is a {released_in} film directed by {directed_by}.",
        "{s} is a film by {directed_by} with {starring} in the leading roles.",
        "{s} is a film that was released in {released_in}.",
        "{s} is a feature film produced by {produced_by}.",
        "{s} is a feature film.",
    ),
    Kind.BOOK: (
        "{s} is a novel by {written_by}.",
        "{s} is a novel written by {written_by} and published in {published_in}.",
        "{s} is a novel that came out in {published_in}.",
    ),
    Kind.SONG: (
        "{s} is a song by {performed_by}.",
        "{s} is a song that {performed_by} recorded in {issued_in}.",
        "{s} is a song from {issued_in}.",
    ),
    Kind.BAND: (
        "{s} is a band formed in {formed_in} in {formed_year}.",
        "{s} is a band from {formed_in} whose members were {members}.",
        "{s} is a band that was formed in {formed_year}.",
    ),
    Kind.COMPANY: (
        "{s} is {trade} based in {based_in}.",
        "{s} is {trade} founded in {founded_in} by {founded_by}.",
        "{s} is {trade} that has been in business since {founded_in}.",
    ),
    Kind.UNIVERSITY: (
        "{s} is an institution of higher learning in {campus_in}.",
        "{s} is an institution of higher learning established in {established_in}.",
    ),
    Kind.CLUB: (
        "{s} is a football club from {home_of}.",
        "{s} is a football club coached by {coached_by}.",
        "{s} is a professional football club.",
    ),
    Kind.CITY: (
        "{s} is a city in {city_country}.",
        "{s} is a city of {population} inhabitants in {city_country}.",
        "{s} is a city on the {on_river}.",
        "{s} is a city with a population of {population}.",
    ),
    Kind.COUNTRY: (
        "{s} is a country whose capital is {capital}.",
        "{s} is a country whose official language is {language}.",
    ),
    Kind.RIVER: (
        "The {s} is a river that rises in {rises_in}.",
        "The {s} is a river of {length} kilometres.",
    ),
    Kind.BUILDING: (
        "The {s} is a public building in {stands_in}.",
        "The {s} is a public building designed by {designed_by}.",
        "The {s} is a public building that opened in {opened_in}.",
    ),
}
"""First sentences. Each kind has one whose facts its own passage always states."""

SENTENCES: dict[Kind, tuple[str, ...]] = {
    Kind.PERSON: (
        "{s} is also known as {alias}.",
        "{s} often worked under the name {alias}.",
        "{s} was born on {born_on}.",
        "{s} was born in {born_in}.",
        "{p} birthplace is {born_in}.",
        "{s} died on {died_on}.",
        "{s} died in {died_in}.",
        "{s} spent the last years in {died_in} and died there.",
        "{s} travelled on a passport of {citizen_of}.",
        "{p} home country was {citizen_of}.",
        "{s} studied at {educated_at}.",
        "{s} took a degree at {educated_at}.",
        "{p} parents were {father} and {mother}.",
        "{p} father was {father}.",
        "{s} was raised by {p_mid} father, {father}.",
        "{p} mother was {mother}.",
        "{s} learned to read from {mother}, {p_mid} mother.",
        "{s} was the father of {back_father}.",
        "{s} was the mother of {back_mother}.",
        "{s} married {spouse}.",
        "{s} met {p_mid} future spouse, {spouse}, at a dinner.",
        "{s} married {back_spouse} after a long engagement.",
        "{p} work as a director includes {back_directed_by}.",
        "{s} directed {back_directed_by}.",
        "{s} wrote the film music for {back_music_by}.",
        "{s} acted in {back_starring}.",
        "{p} film roles include parts in {back_starring}.",
        "{s} is the author of {back_written_by}.",
        "{p} books include {back_written_by}.",
        "{s} wrote the words and the tune of {back_song_by}.",
        "{s} made music with {back_members}.",
        "{s} was part of the line-up of {back_members}.",
        "{s} founded {back_founded_by}.",
        "{s} coaches {back_coached_by}.",
        "{s} is the mayor of {back_mayor}.",
        "{s} drew the plans of the {back_designed_by}.",
    ),
    Kind.FILM: (
        "{s} was directed by {directed_by}.",
        "{p} director was {directed_by}.",
        "{p} music was composed by {music_by}.",
        "The score is the work of {music_by}.",
        "{s} stars {starring}.",
        "The cast includes {starring}.",
        "{s} was released in {released_in}.",
        "{s} reached the cinemas in {released_in}.",
        "{s} was produced by {produced_by}.",
        "The production was in the hands of {produced_by}.",
        "The story is taken from the novel {based_on}.",
        "{s} is an adaptation of the novel {based_on}.",
    ),
    Kind.BOOK: (
        "{s} was written by {written_by}.",
        "{p} author is {written_by}.",
        "{s} was published in {published_in}.",
        "{s} was published by {published_by}.",
        "The first edition appeared with {published_by}.",
        "{s} was adapted for the screen as {back_based_on}.",
    ),
    Kind.SONG: (
        "{s} was recorded by {performed_by}.",
        "{p} best-known recording is by {performed_by}.",
        "{s} was written by {song_by}.",
        "Words and music are by {song_by}.",
        "{s} was issued in {issued_in}.",
    ),
    Kind.BAND: (
        "{s} was formed in {formed_in}.",
        "{s} was formed in {formed_year}.",
        "{p} members were {members}.",
        "The line-up consisted of {members}.",
        "{s} was signed to {label}.",
        "{p} records appeared on {label}.",
        "{s} recorded {back_performed_by}.",
        "{p} singles include {back_performed_by}.",
    ),
    Kind.COMPANY: (
        "{s} was founded by {founded_by}.",
        "{s} was founded in {founded_in}.",
        "{p} head office is in {based_in}.",
        "{s} produced {back_produced_by}.",
        "{p} catalogue includes {back_published_by}.",
        "{p} roster includes {back_label}.",
    ),
    Kind.UNIVERSITY: (
        "{p} campus is in {campus_in}.",
        "{s} was established in {established_in}.",
        "{p} former students include {back_educated_at}.",
    ),
    Kind.CLUB: (
        "{s} plays its home matches in {home_of}.",
        "{s} is coached by {coached_by}.",
    ),
    Kind.CITY: (
        "{s} belongs to {city_country}.",
        "{s} lies on the {on_river}.",
        "{s} has {population} inhabitants.",
        "{p} mayor is {mayor}.",
        "{s} is governed by mayor {mayor}.",
        "{s} is the capital of {back_capital}.",
    ),
    Kind.COUNTRY: (
        "{p} capital is {capital}.",
        "{p} currency is the {currency}.",
        "{p} official language is {language}.",
    ),
    Kind.RIVER: (
        "{p} source is in {rises_in}.",
        "{s} is {length} kilometres long.",
        "{s} flows through {back_on_river}.",
    ),
    Kind.BUILDING: (
        "{s} stands in {stands_in}.",
        "{s} was designed by {designed_by}.",
        "{s} opened in {opened_in}.",
    ),
}

NOISE: dict[Kind, tuple[str, ...]] = {
    Kind.PERSON: (
        "{s} was known for a dry sense of humour and a dislike of interviews.",
        "Friends remember long walks and longer letters.",
        "A small exhibition about {p_mid} life toured schools for two winters.",
        "{s} kept a diary that has never been printed in full.",
        "Critics disagree about which period of this career matters most.",
        "{s} spoke four languages and collected old maps.",
        "An early illness left {p_mid} hearing weak.",
        "Several prizes came late, and {p_mid} acceptance speeches were short.",
    ),
    Kind.FILM: (
        "Shooting took eleven weeks and was stopped twice by storms.",
        "Reviewers praised the camera work but found the ending too long.",
        "A restored print was shown at several festivals.",
        "The plot follows two rivals who have to share a house for one winter.",
        "Most scenes were filmed at night with very little light.",
        "It sold few tickets at first and became a favourite on late-night television.",
        "The opening scene on a railway platform was done in a single take.",
    ),
    Kind.BOOK: (
        "The story is told by three narrators who contradict each other.",
        "It has been translated into nine languages.",
        "Early reviews were cool, yet the first printing was gone in a month.",
        "The manuscript was lost for a year and found in a suitcase.",
        "Much of the plot turns on a letter that nobody opens.",
        "School editions usually leave out the last chapter.",
    ),
    Kind.SONG: (
        "The tune moves between a slow verse and a fast refrain.",
        "It was recorded in one afternoon with borrowed instruments.",
        "Radio stations first ignored it and later played it every hour.",
        "Several other artists have covered it since.",
        "The words describe a farewell at a harbour.",
        "A choir of schoolchildren can be heard in the last refrain.",
    ),
    Kind.BAND: (
        "The group mixes brass, strings and electric guitars.",
        "Concerts of the group rarely last less than three hours.",
        "A long tour ended with a bus accident in which nobody was hurt.",
        "The group rehearsed for years in a disused bakery.",
        "Its early recordings were sold only at concerts.",
        "Listeners voted one of its records the best of the decade.",
    ),
    Kind.COMPANY: (
        "The firm nearly closed after a fire in its warehouse.",
        "It employs about sixty people and remains in private hands.",
        "A change of owners brought new money and a new logo.",
        "Its archive is open to researchers on weekdays.",
        "The firm is known for paying young artists fairly.",
        "Its first office was a single room above a shop.",
    ),
    Kind.UNIVERSITY: (
        "The library holds a large collection of early maps and is open to the public.",
        "Teaching is done in small groups, and final examinations are oral.",
        "A fire destroyed the oldest lecture hall, which was rebuilt in brick.",
        "Its botanical garden attracts many visitors in spring.",
        "Students stage a lantern procession at the end of every term.",
    ),
    Kind.CLUB: (
        "The team plays in green and white and has a fierce rivalry with its neighbours.",
        "Its youth academy has produced a number of international players.",
        "The stadium was rebuilt after a storm tore off the roof of the main stand.",
        "The team has won the national cup twice and has been relegated three times.",
        "Supporters sing an old harvest song before every match.",
    ),
    Kind.CITY: (
        "The old quarter is known for its arcades and narrow stairways.",
        "A market is held on the main square every Thursday.",
        "Its economy depends on glass, paper and shipping.",
        "A great flood damaged the lower town, and high walls were built afterwards.",
        "The tram network is one of the oldest in the region.",
        "Visitors come for the summer festival of puppet theatre.",
    ),
    Kind.COUNTRY: (
        "Most of the land is hilly, and winters in the north are long.",
        "The economy rests on timber, fishing and precision instruments.",
        "Parliament has one chamber and is elected every five years.",
        "The national holiday falls in early autumn and is marked with bonfires.",
        "Schools are free, and nearly everyone learns a second language.",
    ),
    Kind.RIVER: (
        "The upper course is popular with anglers, and the lower course carries barges.",
        "Several dams were built along it to hold back the spring floods.",
        "Otters returned to its banks after the paper mills had closed.",
        "An old towpath follows it for most of the way.",
        "In hard winters the ice is thick enough for skating races.",
    ),
    Kind.BUILDING: (
        "The facade is made of pale limestone and blue tiles.",
        "Guided tours lead up to the roof and down to the vaults.",
        "Building costs were three times as high as planned.",
        "Half the money was raised by public subscription.",
        "A careful renovation brought back the painted ceilings.",
        "The main hall seats nine hundred people and is praised for its acoustics.",
    ),
}
"""Sentences without a fact that anybody asks for."""
